"""One file for each of FIS's actions, found by itself: docs/adding-a-fault.md.

Imports `fis.action` and what actions act on.
"""
