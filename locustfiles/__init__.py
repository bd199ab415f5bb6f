"""What customers do to a shop, and the record of it.

Locust loads `shoppers.py` and `prober.py` from this folder; files that begin with an underscore
are the machinery behind them, and registering Locust's listeners is `_process.py`'s job.
"""
