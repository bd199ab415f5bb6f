"""The part of Locust's history that its statistics are of: the last unbroken rise. Pure.

A history goes on for as long as its process does: before, between and after tests, and over
`--reset-stats`. The statistics are only of what was counted since the last reset:

    count  0 0 0 40 80 | 30 60 90 90 120 120 120
                 reset | the last rise  |  idle

Locust's Requests/s divides by the time from that reset to the last request, standstills included.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from analysis.compare.bootstrap import Stretches

ALL = "all requests"
_MOST_STRETCHES = 60

Counted = tuple[int, int, float]  # requests, failures, the longest time: none falls but by a reset


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What had been counted by a second of the clock, by name."""

    at: int
    users: int
    counted: dict[str, Counted] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many requests of all names there were."""
        return self.counted[ALL][0] if self.counted else 0


def name_of(row: Mapping[str, str]) -> str:
    """Return how we name the endpoint of a row."""
    if not row["Type"] and row["Name"] == "Aggregated":
        return ALL
    return f"{row['Type']} {row['Name']}".strip()


def moments_of(rows: Iterable[Mapping[str, str]]) -> list[Moment]:
    """Return the moments of a history in the order of its rows; KeyError or ValueError.

    The row of all requests is the last of a moment: without it the moment was cut off.
    """
    moments: list[Moment] = []
    for row in rows:
        at = int(row["Timestamp"])
        if not moments or moments[-1].at != at:
            moments.append(Moment(at=at, users=int(row["User Count"])))
        moments[-1].counted[name_of(row)] = (
            int(row["Total Request Count"]),
            int(row["Total Failure Count"]),
            float(row["Total Max Response Time"]),
        )
    return [each for each in moments if ALL in each.counted]


def last_rise(moments: Sequence[Moment]) -> list[Moment]:
    """Return the moments from the last reset, or the end of idling, to the last request.

    The first of them is when counting began. A reset shows as whatever falls: the count of all
    requests may be back where it was within a second.
    """
    rise: list[Moment] = list(moments[:1])
    for before, after in pairwise(moments):
        if after.at < before.at or not (after.total or after.users):
            rise = [after]
        elif _was_reset(before, after):
            rise = [replace(before, counted={}), after]
        else:
            rise.append(after)
    while len(rise) > 1 and rise[-1].total == rise[-2].total:
        rise.pop()
    return rise


def _was_reset(before: Moment, after: Moment) -> bool:
    """Whether anything fell; a name that was counted and is gone fell too."""
    none: Counted = (0, 0, 0.0)
    return any(
        now < then
        for name, counted in before.counted.items()
        for now, then in zip(after.counted.get(name, none), counted, strict=True)
    )


def stretches_of(rise: Sequence[Moment]) -> list[Moment]:
    """Return the moments that part a rise into stretches: all, or as many as are of use."""
    if len(rise) < 2:  # noqa: PLR2004 -- there is nothing between
        return []
    least_s = (rise[-1].at - rise[0].at) / _MOST_STRETCHES
    borders = [rise[0]]
    for moment in rise[1:-1]:
        if moment.at - borders[-1].at >= least_s:
            borders.append(moment)
    return [*borders, rise[-1]]


def count_by_stretch(name: str, borders: Sequence[Moment]) -> Stretches | None:
    """Return what was counted of a name between two borders; None where it is in no row."""
    if not any(name in each.counted for each in borders):
        return None
    counts: list[int] = []
    failures: list[int] = []
    then = borders[0].counted.get(name, (0, 0, 0.0))
    for border in borders[1:]:
        now = border.counted.get(name, then)
        counts.append(now[0] - then[0])
        failures.append(now[1] - then[1])
        then = now
    return Stretches(counts=counts, failures=failures)
