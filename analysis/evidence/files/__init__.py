"""How the files of a run are read, written and named, whatever is in them.

Imports `analysis.evidence` alone.
"""
