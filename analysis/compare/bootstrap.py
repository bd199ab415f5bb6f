"""How far a measurement might have come out otherwise: the bootstrap over stretches of time. Pure.

Requests of the same second fare alike, so what is drawn again, with replacement, are whole
stretches of the run, never single requests (a block bootstrap: Künsch, 1989), and each from its own
phase: a fault lasts as long as it does, and is no accident of the sampling.
The interval is the percentile interval of the draws (Efron, 1979).
"""

import random
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter, mul

DRAWS = 500
_ROUNDING = 1e-9
_SEED = 20_260_101  # the same files give the same intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A range in which the true value lies with the confidence that was asked for."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value is within it."""
        return self.low <= value <= self.high

    def is_within(self, low: float, high: float) -> bool:
        """Whether all of it is between two values."""
        return low <= self.low and self.high <= high


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretches:
    """One endpoint's requests by stretch of the run, in which they are exchangeable.

    `reached[k][s]` is how many of stretch `s` took no longer than `times[k]` microseconds, of which
    the shortest comes first; `counts` and `failures` are by stretch.
    """

    times: Sequence[int] = ()
    reached: Sequence[Sequence[int]] = ()
    counts: Sequence[int] = ()
    failures: Sequence[int] = ()


def draw_weights(phases: Mapping[int, Sequence[int]], *, salt: int = 0) -> list[list[int]]:
    """Return how often each stretch is drawn, DRAWS times over.

    `phases` names the stretches of each phase; together they are 0..n-1. `salt` tells runs apart,
    which are drawn independently of each other.
    """
    chance = random.Random(_SEED + salt)
    size = sum(len(each) for each in phases.values())
    draws = []
    for _ in range(DRAWS):
        weights = [0] * size
        for stretches in phases.values():
            for drawn in chance.choices(stretches, k=len(stretches)):
                weights[drawn] += 1
        draws.append(weights)
    return draws


def percentile_of(stretches: Stretches, share: float, weights: Sequence[int]) -> float | None:
    """Return a percentile in microseconds, by nearest rank, with each stretch weighted."""
    if not stretches.reached:
        return None
    total = weighted(stretches.reached[-1], weights)
    if not total:
        return None
    rank = share * total - _ROUNDING
    place = bisect_left(stretches.reached, rank, key=lambda row: weighted(row, weights))
    return stretches.times[place]


def weighted(counts: Sequence[float], weights: Sequence[int]) -> float:
    """Return the sum of counts by stretch, each as often as it was drawn."""
    total: float = sum(map(mul, counts, weights))
    return total


def interval_of(
    draws: Sequence[float | None], *, confidence: float, around: float, slack: float
) -> Interval | None:
    """Return the percentile interval of draws, wide enough to hold the figure that it is `around`.

    None where too many draws came to nothing, or the figure is further off than `slack`, which
    rounding explains: then the draws are of something else than the figure.
    """
    drawn = sorted(each for each in draws if each is not None)
    if len(drawn) < len(draws) * confidence or not drawn:
        return None
    tail = (1 - confidence) / 2
    pick = itemgetter(int(tail * len(drawn)), min(len(drawn) - 1, int((1 - tail) * len(drawn))))
    low, high = pick(drawn)
    if not low - slack <= around <= high + slack:
        return None
    return Interval(low=min(low, around), high=max(high, around))
