"""The ledgers that load generators write: how lines are read, and what becomes of torn ones.

Imports `analysis.evidence` alone.
"""
