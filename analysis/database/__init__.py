"""Reading the database: sessions, what tables are, snapshots, and waiting for it to be there.

Imports `analysis.evidence` alone.
"""
