"""An experiment that is on: its states, its actions one after another, its stop conditions.

Imports `targets`, `templates.action_order` and what an action is.
"""
