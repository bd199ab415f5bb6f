"""How many random examples the property tests try: as many as they say, times EXAMPLES_TIMES.

A tenth for mutants, of which each is tried on all tests; fifty times as many for a night's search.
"""

import os

from hypothesis import settings

TIMES = float(os.environ.get("EXAMPLES_TIMES", "1"))


def examples(number: int) -> settings:
    """Try about so many. No deadline: how long one takes is a matter of what else runs."""
    return settings(max_examples=max(1, round(number * TIMES)), deadline=None)
