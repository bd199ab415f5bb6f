"""One run, from its directory to its verdict, between Locust's events.

`listeners` has them all in a table; who hears is a `master` (or a Locust by itself), or a worker.
"""
