"""How long orders took, from when they were due and from when they were sent. Pure.

A load that waits for its replies sends less while the shop is slow, and so measures less of it
(Gil Tene's "coordinated omission"): the time from when an order was due leaves nothing out.

An attempt that the end of the run cut off took at least as long as it was open, and for the rest
counts as those did that were open as long (Kaplan and Meier, 1958). One that was turned away while
others were open was never answered: it counts as longer than all.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from analysis.evidence.ledger.failures import RUN_STOPPING
from analysis.evidence.ledger.reader import IN_FLIGHT
from analysis.evidence.records import Attempt
from analysis.judging.undisputed import NONE_UNDISPUTED, Undisputed

_PERCENTILES = (50, 95, 99)
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Percentiles of `count` times in seconds, by nearest rank; None where there is nothing.

    `open` of them never ended. A percentile that lies among these is in `at_least`: it is longer
    than any time that was seen, which is then its value.
    """

    count: int
    open: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    max_s: float | None
    at_least: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Attempts from when they were due (None where none was due at a time) and from their sending.

    Where orders were due both are of the attempts that were, so that they can be compared; one
    that was due and never sent is only in the first.
    """

    from_due: Spread | None
    from_sent: Spread


def measure_latency(
    attempts: Iterable[Attempt],
    *,
    ended_at: int | None,
    undisputed: Undisputed = NONE_UNDISPUTED,
) -> Latency:
    """Measure attempts at orders, however they ended; `ended_at` is when the run did."""
    due, sent_of_due = map(_Times.of, (undisputed.from_due, undisputed.from_sent_of_due))
    sent_of_all = _Times.of(undisputed.from_sent_of_others)
    for attempt in attempts:
        if attempt.due_at is not None:
            due.add(attempt, attempt.due_at, ended_at or 0)
        if attempt.sent_at is not None:
            of_kind = sent_of_all if attempt.due_at is None else sent_of_due
            of_kind.add(attempt, attempt.sent_at, ended_at or 0)
    return Latency(
        from_due=due.spread() if due.count else None,
        from_sent=(sent_of_due if due.count else sent_of_all).spread(),
    )


@dataclass(slots=True)
class _Times:
    """How many took how long: `seen` by twice the microseconds, one more for those cut off.

    So at the same time those that ended come first. `never` counts those that were turned away,
    and `longest` is the longest time that any was waited for.
    """

    seen: Counter[int] = field(default_factory=Counter)
    never: int = 0
    longest: int = 0

    @classmethod
    def of(cls, ended: Mapping[int, int]) -> "_Times":
        """Begin with attempts that ended, so many after each number of microseconds."""
        seen = Counter({2 * time: count for time, count in ended.items()})
        return cls(seen, longest=max(ended, default=0))

    @property
    def count(self) -> int:
        return self.seen.total() + self.never

    def add(self, attempt: Attempt, since: int, run_ended_at: int) -> None:
        was_cut = attempt.ended_at is None or attempt.error in {IN_FLIGHT, RUN_STOPPING}
        was_turned_away = attempt.sent_at is None and not was_cut
        until = attempt.ended_at
        if until is None or was_turned_away:
            until = max(until or 0, run_ended_at)
        time = max(0, until - since)
        self.longest = max(self.longest, time)
        if was_turned_away:
            self.never += 1
        else:
            self.seen[2 * time + was_cut] += 1

    def spread(self) -> Spread:
        reached = self._reached()
        cut = sum(count for time, count in self.seen.items() if time % 2)
        values = {
            f"p{percent}_s": reached.get(percent, self.longest) / 1e6 if self.count else None
            for percent in _PERCENTILES
        }
        at_least = [f"p{percent}_s" for percent in _PERCENTILES if percent not in reached]
        if cut or self.never:
            at_least.append("max_s")
        return Spread(
            count=self.count,
            open=cut + self.never,
            **values,
            max_s=self.longest / 1e6 if self.count else None,
            at_least=tuple(at_least) if self.count else (),
        )

    def _reached(self) -> dict[int, int]:
        """Return the percentiles that the times come to, in microseconds.

        Each attempt has the same weight; that of one cut off is shared out among those that were
        open for longer (B. Efron's redistribution to the right, 1967, which is Kaplan-Meier's).
        """
        reached: dict[int, int] = {}
        wanted = list(_PERCENTILES)
        left, done = self.count, 0.0
        weight = 1 / max(1, left)
        for time, count in sorted(self.seen.items()):
            left -= count
            if time % 2:
                weight = (1 - done) / left if left else 0.0
                continue
            done += weight * count
            while wanted and done >= wanted[0] / 100 - _ROUNDING:
                reached[wanted.pop(0)] = time // 2
        return reached
