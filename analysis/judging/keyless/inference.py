"""Which attempts must, may or cannot have made rows that bear no key. Pure, and knows no orders.

An attempt is a span of time, a row a point; it may have made a point inside its span. If every
point was made by one of the spans, each making one at most, then the truth is a matching that
covers every point, so a maximum one: what all maximum matchings share is certain.

*A maximum matching.* Sorted by time, the points inside a span are neighbours: the graph is convex,
and Glover's rule finds a maximum matching (F. Glover, Maximum matching in a convex bipartite
graph, 1967): go through the points in time and give each to the open span that closes first. For
if a maximum matching gives the point to another span, or to none, the two spans can be swapped,
since whatever later point lies in the one that closes first lies in the other too.

*Used by all of them.* Given one maximum matching, another that leaves out span s differs from it by
alternating paths (C. Berge, 1957); the one through s begins at s, and ends at a span that was left
out before, as long a way on the one side as on the other. So a span is used by all if it is matched
and no alternating path leads to it from an unmatched span (the Dulmage-Mendelsohn decomposition,
1958). The search goes from unmatched spans over any of their points to the span that each point
is matched with. It never meets an unmatched point: that would make the matching larger.

*Used by none* are the spans without any point, and only those: take an unmatched span with a point.
The point is matched, or the matching would not be maximum; give it to this span instead.

A point without a time lies in every span. Such points take the spans that are left over, whichever
they are, so no matching can use more; and while one span remains even so, each of those spans
can be reached from it, and the rest as before.

Cost: sorting, a heap, and a search that steps over every point once: n log n.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple


class Span(NamedTuple):
    """From when until when, both included; infinite where there is no bound."""

    earliest: float = -inf
    latest: float = inf

    def holds(self, point: float | None) -> bool:
        """Whether a point lies in it, as one without a time does."""
        return point is None or self.earliest <= point <= self.latest


class Use(Enum):
    """Whether maximum matchings use a span."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Inference:
    """For each span how it is used; for each point whether it is covered.

    How many points are covered is the same in every maximum matching; which ones may be a choice,
    made by time and then by the order in which they were given.
    """

    uses: list[Use]
    is_covered: list[bool]

    @property
    def size(self) -> int:
        """How many points the spans account for."""
        return sum(self.is_covered)


_Range = tuple[int, int]


def infer(spans: Sequence[Span], points: Sequence[int | None]) -> Inference:
    """Say of every span what all maximum matchings of spans and points have in common."""
    timed = sorted((at, number) for number, at in enumerate(points) if at is not None)
    untimed = [number for number, at in enumerate(points) if at is None]
    times = [at for at, _ in timed]
    ranges = [(bisect_left(times, low), bisect_right(times, high)) for low, high in spans]
    mates = _match(ranges, len(times))
    left_over = set(range(len(spans))).difference(each for each in mates if each is not None)

    is_covered = [False] * len(points)
    for place, (_, number) in enumerate(timed):
        is_covered[number] = mates[place] is not None
    for number in untimed[: len(left_over)]:
        is_covered[number] = True

    if len(left_over) <= len(untimed):
        return Inference([Use.ALWAYS] * len(spans), is_covered)
    replaceable = _reachable(left_over, ranges, mates)
    uses = [
        Use.ALWAYS
        if not replaceable[number]
        else Use.SOMETIMES
        if low < high or untimed
        else Use.NEVER
        for number, (low, high) in enumerate(ranges)
    ]
    return Inference(uses, is_covered)


def _match(ranges: Sequence[_Range], points: int) -> list[int | None]:
    """Return the span that each point is given to, by Glover's rule."""
    opening = sorted((low, high, number) for number, (low, high) in enumerate(ranges) if low < high)
    mates: list[int | None] = [None] * points
    is_open: list[_Range] = []
    opened = 0
    for point in range(points):
        while opened < len(opening) and opening[opened][0] <= point:
            heappush(is_open, opening[opened][1:])
            opened += 1
        while is_open and is_open[0][0] <= point:
            heappop(is_open)
        if is_open:
            mates[point] = heappop(is_open)[1]
    return mates


def _reachable(
    starts: set[int], ranges: Sequence[_Range], mates: Sequence[int | None]
) -> list[bool]:
    """Return for each span whether an alternating path leads to it, or it is a start."""
    reached = [False] * len(ranges)
    for each in starts:
        reached[each] = True
    unseen = list(range(len(mates) + 1))  # from each point the way to the next one not yet seen
    waiting = sorted(starts)
    while waiting:
        low, high = ranges[waiting.pop()]
        point = _next(unseen, low)
        while point < high:
            unseen[point] = point + 1
            mate = mates[point]
            if mate is not None and not reached[mate]:
                reached[mate] = True
                waiting.append(mate)
            point = _next(unseen, point)
    return reached


def _next(unseen: list[int], point: int) -> int:
    """Return the next unseen point from here on, and shorten the way to it."""
    while unseen[point] != point:
        unseen[point] = unseen[unseen[point]]
        point = unseen[point]
    return point
