"""From a run directory to a verdict: which orders committed, and what the shop broke."""
