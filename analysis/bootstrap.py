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
from itertools import accumulate
from operator import itemgetter, mul

__all__ = ["DRAWS", "Interval", "Stretches", "draw_weights", "interval_of", "percentiles_of"]

DRAWS = 1000
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretches:
    """One endpoint's requests by stretch of the run, in which they are exchangeable.

    Of its `times` in microseconds, the shortest first, `amounts` says how many requests of the
    stretch in `places` took so long. `counts` and `failures` are by stretch.
    """

    times: Sequence[int] = ()
    places: Sequence[int] = ()
    amounts: Sequence[int] = ()
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


def percentiles_of(
    stretches: Stretches, shares: Sequence[float], weights: Sequence[int]
) -> list[float | None]:
    """Return percentiles in microseconds, by nearest rank, with each stretch weighted."""
    drawn = map(weights.__getitem__, stretches.places)
    reached = list(accumulate(map(mul, drawn, stretches.amounts)))
    total = reached[-1] if reached else 0
    if not total:
        return [None] * len(shares)
    times = stretches.times
    return [times[bisect_left(reached, share * total - _ROUNDING)] for share in shares]


def interval_of(draws: Sequence[float | None], *, confidence: float) -> Interval | None:
    """Return the percentile interval of draws; None where too many came to nothing."""
    drawn = sorted(each for each in draws if each is not None)
    if len(drawn) < len(draws) * confidence or not drawn:
        return None
    tail = (1 - confidence) / 2
    pick = itemgetter(int(tail * len(drawn)), min(len(drawn) - 1, int((1 - tail) * len(drawn))))
    low, high = pick(drawn)
    return Interval(low=low, high=high)
