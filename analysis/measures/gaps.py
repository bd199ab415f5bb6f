"""Numbers that no order has: the trace that an INSERT leaves which was rolled back. Pure.

PostgreSQL's sequences are not rolled back. But a cache that was not used up leaves gaps too, and so
does a crash (up to 32 numbers): a gap fits an attempt, and never proves that there was one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from analysis.evidence.records import Attempt, OrderRow, format_time

_NAMED_AT_MOST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The numbers from `first` to `last`, and when the rows beside them began, if that is known."""

    first: int
    last: int
    opened_at: int | None
    closed_at: int | None

    def may_be_of(self, attempt: Attempt, *, offset_us: int = 0) -> bool:
        """Whether the attempt was under way while they were handed out.

        `offset_us` is how far the database's clock is ahead of the load generator's.
        """
        if attempt.sent_at is None:
            return False
        closed_at = None if self.closed_at is None else self.closed_at - offset_us
        if closed_at is not None and closed_at < attempt.sent_at:
            return False
        opened_at = None if self.opened_at is None else self.opened_at - offset_us
        return None in (opened_at, attempt.ended_at) or (opened_at or 0) <= (attempt.ended_at or 0)


def find_gaps(rows: Iterable[OrderRow], *, above_id: int | None) -> list[Gap]:
    """Return the gaps between rows, the lowest first.

    `above_id` is the highest id from before the run, where that is known.
    """
    gaps = []
    last_id, last_at = above_id, None
    for each in sorted(rows, key=lambda row: row.id):
        if last_id is not None and each.id > last_id + 1:
            gap = Gap(
                first=last_id + 1, last=each.id - 1, opened_at=last_at, closed_at=each.created_at
            )
            gaps.append(gap)
        last_id, last_at = each.id, each.created_at
    return gaps


def tell_gaps(gaps: Iterable[Gap], attempt: Attempt, *, offset_us: int = 0) -> str:
    """Say which numbers an attempt in doubt may have used up; empty if none."""
    found = [each for each in gaps if each.may_be_of(attempt, offset_us=offset_us)]
    if not found:
        return ""
    named = ", ".join(_name(each, offset_us) for each in found[:_NAMED_AT_MOST])
    more = f" and {len(found) - _NAMED_AT_MOST} more" if len(found) > _NAMED_AT_MOST else ""
    return (
        f"no order has number {named}{more}: an INSERT that was rolled back uses one up, "
        "and so may this attempt's; a sequence's cache does too, so it proves nothing by itself"
    )


def _name(gap: Gap, offset_us: int) -> str:
    numbers = f"{gap.first}" if gap.first == gap.last else f"{gap.first} to {gap.last}"
    until = "" if gap.closed_at is None else f" (before {format_time(gap.closed_at - offset_us)})"
    return numbers + until
