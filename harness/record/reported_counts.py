"""What all processes of a run have reported of their requests, for the page that follows it."""

import itertools
from collections.abc import Mapping
from typing import Any

from analysis.evidence.records import Outcome
from harness.record.counts_by_second import Doubt, Second, add_counts

KEPT_S = 900
_DOUBTS_MAX = 20_000
_CHANGING_S = 8  # reports of workers are late by their interval, and one may be missed


class LiveFleet:
    """The requests of one run, from the reports of its processes."""

    def __init__(self, *, run_id: str) -> None:
        self.run_id = run_id
        self.doubts: dict[str, Doubt] = {}
        # The newest of each process: its totals replace those before, so none is counted twice.
        self._reports: dict[str, Mapping[str, Any]] = {}
        self._seconds: dict[int, Second] = {}

    def take(self, name: str, report: Mapping[str, Any]) -> None:
        """Take a `LiveCounts.report` of the process `name`; one of another run is ignored."""
        if report["run_id"] != self.run_id:
            return
        self._reports[name] = report
        for doubt in itertools.starmap(Doubt, report["doubts"]):
            if len(self.doubts) < _DOUBTS_MAX:
                self.doubts[doubt.attempt_id] = doubt
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
        for report in self._reports.values():
            add_counts(outcomes, report["outcomes"])
            add_counts(causes, report["causes"])
        sent = sum(each["sent"] for each in self._reports.values())
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
        return sum(each.get("lost", 0) for each in self._reports.values())

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
