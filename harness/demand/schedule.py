"""When orders are due in an open load: times that no reply can put off. Pure.

The n-th order is due when the integral of the rate reaches n, or, for Poisson, the n-th point of a
Poisson process of rate 1 (time-change: Cinlar, Introduction to Stochastic Processes, ch. 4.7).
"""

import itertools
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:\.\.(\d+(?:\.\d+)?))?")
_LARGEST_RATE = 100_000


class Spacing(StrEnum):
    """How far apart arrivals are: evenly, or as those of many independent customers."""

    CONSTANT = "constant"
    POISSON = "poisson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Orders per second: `begins` at the start, linearly to `ends` after `over_s`, and so on.

    `over_s` is None for a rate that stays the same.
    """

    begins: float
    ends: float
    over_s: float | None = None

    @property
    def is_ramp(self) -> bool:
        """Whether it changes, and so needs to know over which time."""
        return self.begins != self.ends

    def expected(self, at_s: float) -> float:
        """How many orders are due in the first `at_s` seconds."""
        if not self.is_ramp or self.over_s is None:
            return self.begins * at_s
        ramp_s = min(at_s, self.over_s)
        grown = (self.ends - self.begins) * ramp_s / self.over_s
        return (self.begins + grown / 2) * ramp_s + self.ends * (at_s - ramp_s)

    def time_of(self, count: float) -> float | None:
        """When so many (above 0) are due, in seconds; None if that never comes."""
        if not self.is_ramp or self.over_s is None:
            return count / self.begins
        in_ramp = self.expected(self.over_s)
        if count > in_ramp:
            return self.over_s + (count - in_ramp) / self.ends if self.ends else None
        steepness = (self.ends - self.begins) / self.over_s
        # The form of the quadratic's solution that loses no digits where it is nearly even.
        root = math.sqrt(max(0.0, self.begins**2 + 2 * steepness * count))
        return min(2 * count / (self.begins + root), self.over_s)


def parse_rate(text: str) -> Rate:
    """Read `20` or `5..50`, orders per second; ValueError otherwise."""
    found = _RATE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is neither a rate (20, orders per second) nor a ramp (5..50)")
    begins = float(found[1])
    ends = begins if found[2] is None else float(found[2])
    if not 0 < max(begins, ends) <= _LARGEST_RATE:
        raise ValueError(f"{text!r} is not above 0 and up to {_LARGEST_RATE} orders per second")
    return Rate(begins=begins, ends=ends)


def due_times(
    rate: Rate, spacing: Spacing, *, seed: int, part: int = 0, parts: int = 1
) -> Iterator[float]:
    """Yield the seconds from the start at which the orders of one part are due, in order.

    Of `parts` processes each takes every `parts`-th order of the same schedule, from its own
    `part` (counted from 0) on: together they have every order once.
    """
    return itertools.islice(_all_times(rate, spacing, seed), part, None, parts)


def _all_times(rate: Rate, spacing: Spacing, seed: int) -> Iterator[float]:
    gaps = random.Random(seed)
    count = 0.0
    while True:
        count += gaps.expovariate(1.0) if spacing is Spacing.POISSON else 1.0
        at_s = rate.time_of(count)
        if at_s is None:
            return
        yield at_s
