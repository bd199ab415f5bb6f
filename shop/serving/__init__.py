"""gunicorn's worker as the shop runs it, and its connections to clients.

Imports nothing of the shop's.
"""
