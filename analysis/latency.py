"""How long orders took, from when they were due and from when they were sent. Pure.

A load that waits for its replies sends less while the shop is slow, and so measures less of it
(Gil Tene's "coordinated omission"): the time from when an order was due leaves nothing out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from analysis.ledger import IN_FLIGHT
from analysis.records import Attempt

__all__ = ["Latency", "Spread", "measure_latency"]

_PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Percentiles of `count` times in seconds, by nearest rank; None where there is nothing.

    `open` of them had not ended when the run did. They count as at least the time until then, so
    a percentile that is in `at_least` may be longer than it says.
    """

    count: int
    open: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    max_s: float | None
    at_least: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return the form that summary.json holds."""
        return {
            "count": self.count,
            "open": self.open,
            "p50_s": self.p50_s,
            "p95_s": self.p95_s,
            "p99_s": self.p99_s,
            "max_s": self.max_s,
            "at_least": list(self.at_least),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Attempts from when they were due (None where none was due at a time) and from their sending.

    Where orders were due both are of the attempts that were, so that they can be compared; one
    that was due and never sent is only in the first, as one that never ended.
    """

    from_due: Spread | None
    from_sent: Spread

    def as_json(self) -> dict[str, object]:
        """Return the form that summary.json holds."""
        return {
            "from_due": self.from_due.as_json() if self.from_due else None,
            "from_sent": self.from_sent.as_json(),
        }


def measure_latency(attempts: Iterable[Attempt], *, ended_at: int | None) -> Latency:
    """Measure attempts at orders, however they ended; `ended_at` is when the run did."""
    due: list[int] = []
    sent_of_due: list[int] = []
    sent_of_all: list[int] = []
    for attempt in attempts:
        if attempt.due_at is not None:
            due.append(_time(attempt, attempt.due_at, ended_at))
        if attempt.sent_at is not None:
            of_kind = sent_of_all if attempt.due_at is None else sent_of_due
            of_kind.append(_time(attempt, attempt.sent_at, ended_at))
    return Latency(
        from_due=_spread(due) if due else None,
        from_sent=_spread(sent_of_due if due else sent_of_all),
    )


def _time(attempt: Attempt, since: int, run_ended_at: int | None) -> int:
    """Return twice the microseconds since then, and one more if that is only the least it can be.

    So among equal times those that never ended sort as the longer.
    """
    if attempt.sent_at is None or attempt.ended_at is None:
        until, is_open = max(run_ended_at or 0, attempt.ended_at or 0), True
    else:
        until, is_open = attempt.ended_at, attempt.error == IN_FLIGHT
    return 2 * max(0, until - since) + is_open


def _spread(times: list[int]) -> Spread:
    times.sort()
    first_open = next((rank for rank, time in enumerate(times) if time % 2), len(times))
    ranks = _ranks(len(times))
    values = {name: times[rank] // 2 / 1e6 for name, rank in ranks.items()}
    return Spread(
        count=len(times),
        open=sum(time % 2 for time in times),
        p50_s=values.get("p50_s"),
        p95_s=values.get("p95_s"),
        p99_s=values.get("p99_s"),
        max_s=values.get("max_s"),
        # An open time that ranks below may in truth be above, and move this one up.
        at_least=tuple(name for name, rank in ranks.items() if rank >= first_open),
    )


def _ranks(count: int) -> dict[str, int]:
    """Return where each percentile is among so many sorted times."""
    if not count:
        return {}
    ranks = {f"p{percent}_s": -(-percent * count // 100) - 1 for percent in _PERCENTILES}
    return {**ranks, "max_s": count - 1}
