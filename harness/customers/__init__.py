"""Customers: one request at a time, each recorded, and what is known when it has ended.

Locustfiles subclass those in `customer`; `current_run` is how they come to have the run.
"""
