"""The way to PostgreSQL: connections, transactions, and what a failure of one proves.

Imports `shop.observation`.
"""
