"""When, by the database's clock, the row of an attempt can have been created. Pure.

A transaction begins after its attempt was sent; with a late window S, no more than S seconds after
the attempt had ended for its client. To compare that with `created_at` the offset of the clocks
must be known, and a bound that is too tight would take a row from the attempt that made it. So
other than the offset that is reported, the bounds here contain every offset that may have been:

- They are taken for each load generator and each stretch of ten seconds, and the widest over the
  run count: clocks drift, and are set.
- Within a stretch the orders' bounds are intersected. Where they contradict each other (servers
  with clocks of their own, a reply that names another's row) all that any of them allows counts.
- They are widened by as much as a clock can be slewed where no order was acknowledged for a while,
  and by how coarsely `created_at` is kept.
- A load generator of which no order was acknowledged has no bounds: every row may be its.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, gcd, inf

from analysis.evidence.records import Attempt, Outcome
from analysis.judging.clock import Bound
from analysis.judging.keyless.inference import Span

STRETCH_US = 10_000_000
SLEWED_AT_MOST = 500e-6  # adjtime's and NTP's limit; free quartz is ten times better
_SECOND_US = 1_000_000
_MINUTE_US, _HOUR_US, _DAY_US = 60 * _SECOND_US, 3600 * _SECOND_US, 86_400 * _SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """What is known of the clocks: the lowest and highest offset, by load generator."""

    offsets: dict[str, tuple[int, int]] = field(default_factory=dict)
    late_window_us: int | None = None

    @classmethod
    def of(
        cls,
        bounds: Iterable[Bound],
        attempts: Iterable[Attempt],
        *,
        late_window_s: float | None,
    ) -> "Spans":
        """Take the bounds that acknowledged orders give."""
        known: dict[str, list[Bound]] = defaultdict(list)
        for each in bounds:
            known[each.process_id].append(each)
        sent: dict[str, list[int]] = defaultdict(list)
        for attempt in attempts:
            if attempt.sent_at is not None:
                sent[attempt.process_id].append(attempt.sent_at)
        grain = _grain(each.created_at for found in known.values() for each in found)
        return cls(
            offsets={name: _offsets(found, sent[name], grain) for name, found in known.items()},
            late_window_us=None
            if late_window_s is None or late_window_s == inf
            else ceil(late_window_s * 1e6),
        )

    def of_attempt(self, attempt: Attempt) -> Span:
        """Return when its row can have been created."""
        offset = self.offsets.get(attempt.process_id)
        if offset is None:
            return Span()
        lowest, highest = offset
        earliest = -inf if attempt.sent_at is None else attempt.sent_at + lowest
        return Span(earliest, self._latest(attempt, highest))

    def of_double(self, attempt: Attempt) -> Span:
        """Return when a second row of an attempt can have been created while it was under way."""
        earliest, latest = self.of_attempt(attempt)
        offset = self.offsets.get(attempt.process_id)
        if offset is not None and attempt.ended_at is not None:
            latest = max(attempt.ended_at, attempt.sent_at or attempt.ended_at) + offset[1]
        return Span(earliest, latest)

    def _latest(self, attempt: Attempt, highest: int) -> float:
        # One that no client saw end may have gone on in the shop for as long as it liked; and one
        # that was acknowledged was answered from somewhere, so nothing is known of its row.
        if self.late_window_us is None or attempt.outcome is not Outcome.INDETERMINATE:
            return inf
        if attempt.ended_at is None or attempt.ended_at < (attempt.sent_at or 0):
            return inf
        return attempt.ended_at + self.late_window_us + highest


def _offsets(bounds: Sequence[Bound], sent: Sequence[int], grain: int) -> tuple[int, int]:
    drift = ceil(SLEWED_AT_MOST * STRETCH_US)
    by_stretch: dict[int, list[Bound]] = defaultdict(list)
    for each in bounds:
        by_stretch[each.sent_at // STRETCH_US].append(each)
    found = [_of_stretch(each, drift + grain) for each in by_stretch.values()]
    silence = _longest_silence([each.sent_at for each in bounds], sent)
    extra = ceil(SLEWED_AT_MOST * silence)
    return min(low for low, _ in found) - extra, max(high for _, high in found) + extra


def _of_stretch(bounds: Sequence[Bound], slack: int) -> tuple[int, int]:
    """Return what all of them allow, and if nothing is left, what any of them allows."""
    lows, highs = [], []
    for each in bounds:  # its row was created at some time between, which may be a long time
        own_slack = slack + ceil(SLEWED_AT_MOST * (each.high - each.low))
        lows.append(each.low - own_slack)
        highs.append(each.high + own_slack)
    if max(lows) <= min(highs):
        return max(lows), min(highs)
    return min(lows), max(highs)


def _longest_silence(acknowledged: Iterable[int], sent: Iterable[int]) -> int:
    """Return for how long at most no attempt was sent that was then acknowledged."""
    moments = sorted(acknowledged)
    ends = sorted([*moments, *sent])
    edges = [ends[0], *moments, ends[-1]]
    return max(later - earlier for earlier, later in pairwise(edges))


def _grain(times: Iterable[int]) -> int:
    """Return how coarsely times are kept, in microseconds, at most a day.

    Up to a second as powers of ten go; minutes, hours and days may begin where a time zone has it.
    """
    known = list(times)
    common = gcd(*known)
    if common % _MINUTE_US == 0:
        spread = gcd(*(each - known[0] for each in known))
        return next(each for each in (_DAY_US, _HOUR_US, _MINUTE_US) if spread % each == 0)
    grain = 1
    while grain < _SECOND_US and common % (grain * 10) == 0:
        grain *= 10
    return grain
