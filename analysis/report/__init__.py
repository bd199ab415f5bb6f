"""report.html: its pages, charts and what it says first.

Imports `analysis.verdict` and what is below.
"""
