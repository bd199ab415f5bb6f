"""How far the database's clock is ahead of the load generator's. Pure.

The attempt that made a row had been sent when the row's transaction began, and had not been
answered yet. So every acknowledged order bounds the offset: created - ended <= offset <=
created - sent. The offset that the most orders allow is taken (Marzullo's algorithm, as in NTP):
a few orders with wrong times do no harm.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from analysis.findings import AttemptFinding, Reconciliation
from analysis.matching import order_of
from analysis.records import Outcome, Verdict


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


def measure_clock(findings: Reconciliation) -> Clock:
    """Return the offset in the middle of what most orders allow, and half the width of that."""
    bounds = _agreed(_bounds(findings))
    if bounds is None:
        return Clock(offset_s=None, error_s=None)
    lowest, highest = bounds
    return Clock(
        offset_s=round((lowest + highest) / 2e6, 6), error_s=round((highest - lowest) / 2e6, 6)
    )


def _bounds(findings: Reconciliation) -> list[tuple[int, int]]:
    attempts_at: dict[str, int] = {}
    for finding in findings.attempts:
        order = order_of(finding.attempt)
        attempts_at[order] = attempts_at.get(order, 0) + 1
    return [
        bound
        for finding in findings.attempts
        if (bound := _bound(finding, is_sole=attempts_at[order_of(finding.attempt)] == 1))
    ]


def _bound(finding: AttemptFinding, *, is_sole: bool) -> tuple[int, int] | None:
    attempt, row = finding.attempt, finding.row
    if finding.verdict is not Verdict.CONFIRMED or attempt.outcome is not Outcome.ACKNOWLEDGED:
        return None
    if row is None or row.created_at is None or not attempt.sent_at or not attempt.ended_at:
        return None
    made_it = row.attempt_id == attempt.attempt_id if row.attempt_id else is_sole
    if not made_it or attempt.ended_at < attempt.sent_at:
        return None
    return row.created_at - attempt.ended_at, row.created_at - attempt.sent_at


def _agreed(bounds: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the first stretch that lies in the most of the bounds."""
    edges = sorted(
        edge for low, high in bounds for edge in ((low, 0), (high, 1))
    )  # at the same place a stretch begins before another ends
    best: tuple[int, int] | None = None
    depth = deepest = 0
    for place, (at, is_end) in enumerate(edges):
        if is_end:
            depth -= 1
            continue
        depth += 1
        if depth > deepest:
            deepest = depth
            best = (at, edges[place + 1][0])
    return best
