"""The terminal: what commands can be asked, what they do on a run, and what people read then.

Imports `analysis.report` and what is below.
"""
