"""PostgreSQL, standing for Aurora: the server, its failover, and the RDS Data API before it.

Imports `processes` and the account's names (`cloud.names`).
"""
