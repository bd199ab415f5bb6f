"""Customers: one request at a time, each recorded, and what is known when it has ended."""
