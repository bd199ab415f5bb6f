"""What one process has seen of its requests, second by second, until it is reported.

Constant work per request: numbers are added to the bucket of the second. Nothing here is evidence;
that is in the ledger.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from analysis.evidence.answers import cause_of_doubt
from analysis.evidence.ledger.line_records import AttemptSent
from analysis.evidence.records import Outcome
from harness.customers.outcome import Conclusion, failure_name

# Bins of latency grow by this factor, so a percentile is right to within 5 %.
LATENCY_STEP = 1.1
_LOG_STEP = math.log(LATENCY_STEP)
OTHER = "other"
_KINDS_MAX = 24
_DOUBTS_MAX = 5_000
Kind = TypeVar("Kind")


@dataclass(slots=True, kw_only=True)
class Second:
    """The requests that ended in one second: how many, what failed, how long they took.

    `latency` counts requests by bin, see `latency_of_bin`; `longest_ms` is exact.
    """

    requests: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    latency: dict[int, int] = field(default_factory=dict)
    longest_ms: float = 0.0

    def add(self, other: "Second") -> None:
        """Add what another process, or a later report, has seen of the same second."""
        self.requests += other.requests
        self.longest_ms = max(self.longest_ms, other.longest_ms)
        add_counts(self.failures, other.failures)
        add_counts(self.latency, other.latency)

    def percentile_ms(self, share: float) -> float | None:
        """Return what this share of the requests took at most; None where there was none."""
        wanted, reached = share * sum(self.latency.values()), 0
        for place in sorted(self.latency):
            reached += self.latency[place]
            if reached >= wanted:
                return latency_of_bin(place)
        return None

    @property
    def failed_share(self) -> float:
        """The share of the requests that failed; what was never sent failed all the same."""
        return min(1.0, sum(self.failures.values()) / max(1, self.requests))


class Doubt(NamedTuple):
    """An attempt that ended without a definite answer."""

    attempt_id: str
    order_key: str
    cause: str


class LiveCounts:
    """The requests of one process and run. Times are microseconds since the epoch."""

    def __init__(self, *, run_id: str) -> None:
        self.run_id = run_id
        self._sent = 0
        self._outcomes = dict.fromkeys((each.value for each in Outcome), 0)
        self._causes: dict[str, int] = {}
        self._kinds: set[str] = set()
        self._lost = 0
        # What has been added since the last report:
        self._seconds: dict[int, Second] = {}
        self._doubts: list[Doubt] = []

    def sent(self) -> None:
        """Count an attempt that is about to be sent."""
        self._sent += 1

    def ended(self, attempt: AttemptSent, conclusion: Conclusion, *, ended_at: int) -> None:
        """Count an attempt that has ended; one that was never sent is no request."""
        outcome = conclusion.outcome
        self._outcomes[outcome.value] += 1
        failure = failure_name(conclusion)
        if outcome is Outcome.INDETERMINATE:
            self._doubt(attempt, conclusion)
        if attempt.sent_at is None:
            self._failed(self._second(ended_at), failure)
        else:
            self.request(failure, sent_at=attempt.sent_at, ended_at=ended_at)

    def request(self, failure: str, *, sent_at: int, ended_at: int) -> None:
        """Count a request that has ended; `failure` is empty for a success."""
        second = self._second(ended_at)
        took_ms = max(0, ended_at - sent_at) / 1000
        second.requests += 1
        second.longest_ms = max(second.longest_ms, took_ms)
        place = int(math.log(took_ms) / _LOG_STEP) if took_ms > 1 else 0
        second.latency[place] = second.latency.get(place, 0) + 1
        if failure:
            self._failed(second, failure)

    def lost(self) -> None:
        """Count an acknowledged order that the shop does not know any more."""
        self._lost += 1

    def report(self) -> dict[str, Any]:
        """Return totals, and what has been added since the last report; see `LiveFleet.take`."""
        seconds, self._seconds = self._seconds, {}
        doubts, self._doubts = self._doubts, []
        return {
            "run_id": self.run_id,
            "sent": self._sent,
            "outcomes": dict(self._outcomes),
            "causes": dict(self._causes),
            "lost": self._lost,
            "doubts": doubts,
            "seconds": [
                (at, each.requests, each.longest_ms, each.failures, list(each.latency.items()))
                for at, each in seconds.items()
            ],
        }

    def _second(self, at: int) -> Second:
        number = at // 1_000_000
        second = self._seconds.get(number)
        if second is None:
            second = self._seconds[number] = Second()
        return second

    def _failed(self, second: Second, failure: str) -> None:
        kind = self._kind(failure)
        second.failures[kind] = second.failures.get(kind, 0) + 1

    def _doubt(self, attempt: AttemptSent, conclusion: Conclusion) -> None:
        cause = self._kind(cause_of_doubt(conclusion.http_status, conclusion.error))
        self._causes[cause] = self._causes.get(cause, 0) + 1
        if len(self._doubts) < _DOUBTS_MAX:
            self._doubts.append(Doubt(attempt.attempt_id, attempt.order_key, cause))

    def _kind(self, name: str) -> str:
        """Return the name, or `other` for those of a shop that thinks up new ones all the time."""
        if name not in self._kinds:
            if len(self._kinds) >= _KINDS_MAX:
                return OTHER
            self._kinds.add(name)
        return name


def add_counts(sums: dict[Kind, int], counts: Mapping[Kind, int]) -> None:
    """Add counts to those of the same kind."""
    for kind, count in counts.items():
        sums[kind] = sums.get(kind, 0) + count


def latency_of_bin(place: int) -> float:
    """Return the middle of a bin of latency, in milliseconds."""
    return float(LATENCY_STEP ** (place + 0.5))
