"""The same findings for the undisputed attempts of large runs, in SQL.

Imports `analysis.evidence` and `analysis.judging`.
"""
