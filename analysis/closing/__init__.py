"""From ledgers to tables: closing a run's evidence, and gathering what lies elsewhere.

Imports `analysis.evidence` alone.
"""
