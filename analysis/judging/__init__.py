"""Whose row is it, and what is the verdict: from records to findings. Pure.

Imports `analysis.evidence`; no files, no database, no clock.
"""
