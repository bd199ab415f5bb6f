"""What is ordered and when: arrivals, schedules, watermarks."""
