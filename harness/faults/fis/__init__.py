"""Faults by AWS FIS: what would be hit, the experiment, and what dead runs have left."""
