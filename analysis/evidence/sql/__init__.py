"""A run's tables in DuckDB: Parquet, and relations to sum up. Slow to import.

Imports `analysis.evidence` alone.
"""
