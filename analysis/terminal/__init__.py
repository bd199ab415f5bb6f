"""What people read on the terminal.

Imports `analysis.verdict` and what is below.
"""
