"""Experiment templates: what one may say, the order of its actions, those the lab comes with.

Imports `targets` and what an action is.
"""
