"""One run, from its directory to its verdict, between Locust's events."""
