"""How many random examples the property tests try: as many as they say, times what a profile says.

The profiles are in conftest.py. One with `max_examples=100` tries as many as the tests say.
"""

from hypothesis import settings


def examples(number: int) -> settings:
    """Try about so many. No deadline: how long one takes is a matter of what else runs."""
    scaled = round(number * settings().max_examples / 100)
    return settings(max_examples=max(1, scaled), deadline=None)
