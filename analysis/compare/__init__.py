"""Comparing runs, or the statistics of plain Locust: what changed, what is noise, conditions.

Imports every other stage.
"""
