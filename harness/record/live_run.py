"""What all processes of a run have reported of their requests, for the page that follows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analysis.evidence.records import Outcome
from harness.record.live import Doubt, Second

__all__ = ["KEPT_S", "LiveFleet"]

KEPT_S = 900
_DOUBTS_MAX = 20_000
_CHANGING_S = 8  # reports of workers are late by their interval, and one may be missed


@dataclass(slots=True, kw_only=True)
class _Totals:
    """The newest totals of one process: they replace those before, so none is counted twice."""

    sent: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    causes: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0


class LiveFleet:
    """The requests of one run, from the reports of its processes."""

    def __init__(self, *, run_id: str) -> None:
        self.run_id = run_id
        self.doubts: dict[str, Doubt] = {}
        self._totals: dict[str, _Totals] = {}
        self._seconds: dict[int, Second] = {}

    def take(self, name: str, report: Mapping[str, Any]) -> None:
        """Take a `LiveCounts.report` of the process `name`; one of another run is ignored."""
        if report["run_id"] != self.run_id:
            return
        self._totals[name] = _Totals(
            sent=report["sent"],
            outcomes=report["outcomes"],
            causes=report["causes"],
            lost=report.get("lost", 0),
        )
        for attempt_id, order_key, cause in report["doubts"]:
            if len(self.doubts) < _DOUBTS_MAX:
                doubt = Doubt(attempt_id=attempt_id, order_key=order_key, cause=cause)
                self.doubts[attempt_id] = doubt
        for at, requests, longest_ms, failures, latency in report["seconds"]:
            found = Second(
                requests=requests,
                longest_ms=longest_ms,
                failures=dict(failures),
                latency=dict(latency),
            )
            self._seconds.setdefault(at, Second()).add(found)
        self._forget()

    def orders(self) -> dict[str, Any]:
        """Return how many attempts ended how, how many are open, and causes of doubt."""
        outcomes = {each.value: 0 for each in Outcome}
        causes: dict[str, int] = {}
        for totals in self._totals.values():
            _add(outcomes, totals.outcomes)
            _add(causes, totals.causes)
        sent = sum(each.sent for each in self._totals.values())
        return {
            **outcomes,
            "open": max(0, sent - sum(outcomes.values())),
            "total": sent,
            "causes": dict(sorted(causes.items())),
            "doubts_kept": len(self.doubts),
        }

    @property
    def orders_lost(self) -> int:
        """How many acknowledged orders the shop later said it does not know."""
        return sum(each.lost for each in self._totals.values())

    def second(self, at: int) -> Second:
        """Return what ended in one second, by the reports that have come."""
        return self._seconds.get(at, Second())

    def seconds(self, *, since: int) -> list[dict[str, Any]]:
        """Return the seconds that may have changed since one was the newest; 0 for all."""
        return [
            _as_point(at, self._seconds[at])
            for at in sorted(self._seconds)
            if at >= since - _CHANGING_S
        ]

    def _forget(self) -> None:
        if len(self._seconds) > KEPT_S:
            for at in sorted(self._seconds)[:-KEPT_S]:
                del self._seconds[at]


def _add(sums: dict[str, int], counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        sums[name] = sums.get(name, 0) + count


def _as_point(at: int, second: Second) -> dict[str, Any]:
    return {
        "at": at,
        "requests": second.requests,
        "failures": second.failures,
        "p50_ms": _rounded(second.percentile_ms(0.5)),
        "p95_ms": _rounded(second.percentile_ms(0.95)),
        "longest_ms": round(second.longest_ms, 1),
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
