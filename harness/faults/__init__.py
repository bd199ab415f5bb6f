"""Faults, each at its moment: when they begin, what has to be so before, and their record.

Those of AWS FIS are in `fis`, those that are the user's own in `commands`.
"""
