"""Faults, each at its moment: when they begin, what has to be so before, and their record."""
