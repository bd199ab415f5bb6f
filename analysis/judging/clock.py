"""How far the database's clock is ahead of the load generator's. Pure.

The attempt that made a row had been sent when the row's transaction began, and had not been
answered yet. So every acknowledged order bounds the offset: created - ended <= offset <=
created - sent. The offset that the most orders allow is reported (Marzullo's algorithm, as in
NTP): a few orders with wrong times do no harm. What may be inferred from times rests on `spans`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import pairwise
from typing import NamedTuple

from analysis.evidence.records import Attempt, Outcome, Verdict
from analysis.judging.finding_records import AttemptFinding, Method, Reconciliation
from analysis.judging.row_owners import order_of
from analysis.judging.undisputed import Stretch, Undisputed


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The database's clock minus the load generator's; None where no order tells."""

    offset_s: float | None
    error_s: float | None

    @property
    def certain_offset_us(self) -> int:
        """The offset in microseconds if the clocks differ for certain, else 0."""
        if self.offset_s is None or abs(self.offset_s) <= (self.error_s or 0):
            return 0
        return round(self.offset_s * 1e6)


class Bound(NamedTuple):
    """What one acknowledged order says of the offset, in microseconds."""

    process_id: str
    sent_at: int
    created_at: int
    low: int
    high: int


def measure_clock(findings: Reconciliation) -> Clock:
    """Return the offset in the middle of what most orders allow, and half the width of that."""
    by_order: dict[str, list[Attempt]] = defaultdict(list)
    for each in findings.attempts:
        by_order[order_of(each.attempt)].append(each.attempt)
    found = bounds(findings.attempts, by_order, use_keys=findings.method is Method.KEY)
    stretches = [(each.low, each.high) for each in found]
    agreed = _agreed(stretches, findings.undisputed)
    if agreed is None:
        return Clock(offset_s=None, error_s=None)
    lowest, highest = agreed
    return Clock(
        offset_s=round((lowest + highest) / 2e6, 6), error_s=round((highest - lowest) / 2e6, 6)
    )


def bounds(
    findings: Iterable[AttemptFinding],
    by_order: Mapping[str, Sequence[Attempt]],
    *,
    use_keys: bool,
) -> list[Bound]:
    """Return what each confirmed order says; `by_order` has every attempt at every order."""
    found = (
        _bound(each, by_order[order_of(each.attempt)], use_keys=use_keys)
        for each in findings
        if each.verdict is Verdict.CONFIRMED and each.attempt.outcome is Outcome.ACKNOWLEDGED
    )
    return [each for each in found if each]


def _bound(finding: AttemptFinding, of_order: Sequence[Attempt], *, use_keys: bool) -> Bound | None:
    attempt, row = finding.attempt, finding.row
    if row is None or row.created_at is None or attempt.sent_at is None or attempt.ended_at is None:
        return None
    if use_keys and row.attempt_id:
        if row.attempt_id != attempt.attempt_id:
            return None
        sent = [attempt.sent_at]
    else:  # any attempt at the order may have made it, by the same clock
        others = [each for each in of_order if not each.was_never_sent]
        sent = [each.sent_at for each in others if each.sent_at is not None]
        if len(sent) < len(others) or {each.process_id for each in others} != {attempt.process_id}:
            return None
    if attempt.ended_at < attempt.sent_at:
        return None
    low, high = row.created_at - attempt.ended_at, row.created_at - min(sent)
    return Bound(attempt.process_id, attempt.sent_at, row.created_at, low, high)


def _agreed(stretches: Sequence[Stretch], undisputed: Undisputed) -> Stretch | None:
    """Return the first stretch that lies in the most of the bounds, the undisputed among them."""
    every = [*stretches, *undisputed.common]
    lows, highs = [low for low, _ in every], [high for _, high in every]
    if every and max(lows) <= min(highs):
        return max(lows), min(highs)  # all of them agree, as they mostly do
    # At the same place a stretch begins before another ends.
    edges = sorted(edge for low, high in stretches for edge in ((low, 0), (high, 1)))
    best: Stretch | None = None
    depth = deepest = 0
    for (at, is_end), (next_at, _) in pairwise(merge(edges, undisputed.edges())):
        depth += -1 if is_end else 1
        if depth > deepest:
            deepest = depth
            best = (at, next_at)
    return best
