"""Judging rows that bear no keys: by time and what was ordered. Pure.

Imports `analysis.evidence` and `analysis.judging`.
"""
