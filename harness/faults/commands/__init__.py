"""Faults by commands of the user's, and what heals them."""
