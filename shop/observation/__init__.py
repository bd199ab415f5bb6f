"""What a server tells of itself: log lines and metrics.

Imports no other package of the shop.
"""
