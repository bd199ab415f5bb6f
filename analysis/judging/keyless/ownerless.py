"""Rows of which neither a key nor a reply says whose they are: who can have made them. Pure.

Only product, quantity and time speak for them. What follows rests on this: each of them was made
by an attempt of the run that was not refused, as it was ordered, and no two by one; except that an
attempt that was acknowledged may have made one more than its reply named, while it was under way.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from analysis.evidence.answers import was_answered
from analysis.evidence.records import Attempt, OrderRow, Outcome
from analysis.judging.keyless.inference import Span, Use, infer
from analysis.judging.row_owners import Cell, Row, cell_of


class Seeker(NamedTuple):
    """An attempt that may have made one of the rows, and its place among the attempts."""

    number: int
    attempt: Attempt
    is_hidden: bool  # whether no attempt at its order was acknowledged

    @property
    def was_answered(self) -> bool:
        """Whether its customer was told of a success, though of no order."""
        return was_answered(self.attempt.http_status, self.attempt.error)


@dataclass(frozen=True, slots=True)
class Candidacy:
    """How certain it is that an attempt made one of the rows, and how many it may have made.

    `row` is the one that it may have made, where there is no other.
    """

    use: Use
    candidates: int
    row: OrderRow | None = None


NO_CANDIDATE = Candidacy(Use.NEVER, 0)


@dataclass(slots=True)
class _Place:
    """The rows of one product and quantity.

    A `named` row was promised to somebody in a reply that it does not fit: it need not be anyone
    else's, but may be.
    """

    rows: list[Row] = field(default_factory=list)
    named: list[Row] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    timed: list[Row] = field(default_factory=list)
    untimed: list[Row] = field(default_factory=list)

    def close(self) -> None:
        for row in (*self.rows, *self.named):
            (self.untimed if row.record.created_at is None else self.timed).append(row)
        self.timed.sort(key=lambda row: row.record.created_at or 0)
        self.times = [row.record.created_at or 0 for row in self.timed]

    def count(self, span: Span) -> int:
        low, high = self._range(span)
        return max(0, high - low) + len(self.untimed)

    def first(self, span: Span) -> Row:
        low, high = self._range(span)
        return self.timed[low] if low < high else self.untimed[0]

    def _range(self, span: Span) -> tuple[int, int]:
        return bisect_left(self.times, span.earliest), bisect_right(self.times, span.latest)


@dataclass(slots=True)
class Ownerless:
    """The rows without an owner, and once they are `explained`, who can have made them."""

    places: dict[Cell, _Place] = field(default_factory=dict)
    explained: set[Row] = field(default_factory=set)
    hidden: set[Row] = field(default_factory=set)
    answered: int = 0  # of the hidden, how many may be of an attempt that was told of a success
    candidacies: dict[int, Candidacy] = field(default_factory=dict)
    late: int = 0
    total: int | None = 0

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Ownerless":
        """Take the rows that bear no key and that no fitting reply names."""
        places: dict[Cell, _Place] = defaultdict(_Place)
        for row in rows:
            if not row.is_keyed and row.claimed_by is None:
                place = places[cell_of(row.record)]
                (place.named if row.is_named else place.rows).append(row)
        for place in places.values():
            place.close()
        return cls(dict(places))

    @property
    def rows(self) -> Iterator[Row]:
        """All of them."""
        for place in self.places.values():
            yield from place.rows
            yield from place.named

    @property
    def has_unnamed(self) -> bool:
        """Whether no reply at all names one of them."""
        return any(place.rows for place in self.places.values())

    @property
    def unexplained(self) -> int:
        """How many of them none can have made."""
        return sum(len(place.rows) for place in self.places.values()) - len(self.explained)

    def may_be(self, attempt: Attempt) -> bool:
        """Whether any of them is of the attempt's product and quantity."""
        return cell_of(attempt) in self.places

    def count_for(self, attempt: Attempt, span: Span) -> int:
        """Return how many of them are of its product and quantity and created in its span."""
        place = self.places.get(cell_of(attempt))
        return place.count(span) if place else 0

    def explain(
        self,
        seekers: Iterable[Seeker],
        span_of: Callable[[Attempt], Span],
        doubles: Iterable[tuple[Cell, Span]],
    ) -> None:
        """Find out which attempts must, may or cannot have made them, and which nobody made.

        `doubles` says when an order that was placed may have been placed once more.
        """
        by_cell: dict[Cell, list[Seeker]] = defaultdict(list)
        for seeker in seekers:
            by_cell[cell_of(seeker.attempt)].append(seeker)
        doubles_of: dict[Cell, list[Span]] = defaultdict(list)
        for cell, span in doubles:
            doubles_of[cell].append(span)
        for cell, place in self.places.items():
            self._explain(place, by_cell[cell], span_of, doubles_of[cell])

    def _explain(
        self,
        place: _Place,
        seekers: list[Seeker],
        span_of: Callable[[Attempt], Span],
        doubles: list[Span],
    ) -> None:
        points = [each.record.created_at for each in place.rows]
        spans = [span_of(each.attempt) for each in seekers]
        found = infer(spans, points)
        self.explained.update(_covered(place.rows, found.is_covered))
        # Who is needed although each row that may be a double is one.
        no_doubles = list(_outside(doubles, points))
        surely = found if len(no_doubles) == len(points) else infer(spans, no_doubles)
        for seeker, span, use, sure in zip(seekers, spans, found.uses, surely.uses, strict=True):
            proved = use if sure is Use.ALWAYS or use is Use.NEVER else Use.SOMETIMES
            self.candidacies[seeker.number] = self._candidacy(place, span, proved)
        if (
            surely.size < found.size
            or place.named
            or any(
                seeker.attempt.outcome is Outcome.ACKNOWLEDGED and use is not Use.NEVER
                for seeker, use in zip(seekers, found.uses, strict=True)
            )
        ):
            # Doubles, and replies that named no row, or a wrong one, leave it open.
            self.total = None
        elif self.total is not None:
            self.total += found.size
        self.late += _too_late(spans, points, found.size)
        hidden = [span for seeker, span in zip(seekers, spans, strict=True) if seeker.is_hidden]
        of_hidden = found if len(hidden) == len(spans) else infer(hidden, points)
        self.hidden.update(_covered(place.rows, of_hidden.is_covered))
        answered = sum(seeker.is_hidden and seeker.was_answered for seeker in seekers)
        self.answered += min(answered, of_hidden.size)

    def _candidacy(self, place: _Place, span: Span, use: Use) -> Candidacy:
        candidates = place.count(span)
        if use is Use.NEVER and candidates:
            use = Use.SOMETIMES  # a row that was promised to another
        return Candidacy(use, candidates, place.first(span).record if candidates == 1 else None)


def _outside(spans: Sequence[Span], points: Sequence[int | None]) -> Iterator[int | None]:
    """Yield the points that lie in none of the spans."""
    ends = [-inf]  # of those that begin until then, the latest
    starts = sorted(spans)
    for span in starts:
        ends.append(max(ends[-1], span.latest))
    for point in points:
        if not spans or (point is not None and ends[bisect_right(starts, (point, inf))] < point):
            yield point


def _covered(rows: Sequence[Row], is_covered: Sequence[bool]) -> Iterable[Row]:
    return (row for row, covered in zip(rows, is_covered, strict=True) if covered)


def _too_late(spans: Sequence[Span], points: Sequence[int | None], explained: int) -> int:
    """Return how many more rows would be explained if none could be too late."""
    if all(each.latest == inf for each in spans):
        return 0
    endless = [Span(each.earliest, inf) for each in spans]
    return infer(endless, points).size - explained
