"""The Chaos page in Locust's web UI."""
