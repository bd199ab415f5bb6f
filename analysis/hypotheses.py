"""What was believed of the shop before the run, measured and scored. Pure.

A hypothesis names a measure and what is tolerated. What cannot be measured is undecided.
"""

import itertools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.evidence import Evidence
from analysis.failures import ended_requests, is_failed
from analysis.invariants import Invariant
from analysis.records import Request, RunVerdict
from analysis.run import HypothesisTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """A hypothesis and how it fared; `measured` is None where the evidence is missing."""

    id: str
    statement: str
    verdict: RunVerdict
    measured: float | None
    tolerated: dict[str, float]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A measurement. Where it is not complete it is `at_least` something, or nothing at all."""

    value: float | None = None
    at_least: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a measure looks at."""

    evidence: Evidence
    invariants: Sequence[Invariant]
    table: HypothesisTable

    @property
    def fault_is_missing(self) -> bool:
        """Whether a fault was planned, but never began."""
        fault = self.evidence.run.fault
        return fault is not None and fault.started_at is None

    @property
    def gap(self) -> str:
        """Say where requests may be missing; empty if nowhere."""
        return "; ".join(self.evidence.gaps)

    @property
    def since(self) -> int | None:
        """When the fault began; without a fault, when the run did."""
        run = self.evidence.run
        return run.fault.started_at if run.fault else run.started_at

    def requests(self) -> list[Request] | None:
        """Return the named requests that ended after the fault began."""
        if self.evidence.requests is None:
            return None
        return list(
            ended_requests(self.evidence.requests, since=self.since, names=self.table.requests)
        )


Measure = Callable[[Subject], Measured]


def score(
    tables: Sequence[HypothesisTable], evidence: Evidence, invariants: Sequence[Invariant]
) -> list[Hypothesis]:
    """Score each hypothesis; one whose measure is unknown or fails is undecided, with a note."""
    return [_score(Subject(evidence, invariants, table)) for table in tables]


def _score(subject: Subject) -> Hypothesis:
    table = subject.table
    limits = {"at_most": table.at_most, "at_least": table.at_least}
    tolerated = {name: limit for name, limit in limits.items() if limit is not None}
    measured = _measure(subject)
    note = measured.note
    if not tolerated:
        note = "it does not say what is tolerated; give it at_most or at_least"
    return Hypothesis(
        id=table.id,
        statement=table.statement,
        verdict=_verdict(measured, tolerated),
        measured=measured.value,
        tolerated=tolerated,
        note=note,
    )


def _measure(subject: Subject) -> Measured:
    measure = MEASURES.get(subject.table.measure)
    if measure is None:
        known = ", ".join(MEASURES)
        note = f"there is no measure {subject.table.measure!r}; the measures are {known}"
        return Measured(note=note)
    if subject.fault_is_missing and measure is not invariants_broken:
        return Measured(note="the fault never began")
    try:
        return measure(subject)
    except Exception as error:  # noqa: BLE001 -- one measure must not take the others with it
        return Measured(note=f"the measuring failed: {type(error).__name__}: {error}")


def _verdict(measured: Measured, tolerated: dict[str, float]) -> RunVerdict:
    exceeds = {"at_most": operator.gt, "at_least": operator.lt}
    if not tolerated:
        return RunVerdict.UNDECIDED
    if measured.value is not None:
        is_broken = any(exceeds[name](measured.value, limit) for name, limit in tolerated.items())
        return RunVerdict.BROKEN if is_broken else RunVerdict.HELD
    limit = tolerated.get("at_most")
    if limit is not None and measured.at_least is not None and measured.at_least > limit:
        return RunVerdict.BROKEN
    return RunVerdict.UNDECIDED


def failed_requests(subject: Subject) -> Measured:
    """How many of the named requests failed after the fault began."""
    requests = subject.requests()
    if not requests:
        return Measured(note="there were no such requests")
    failed = sum(is_failed(each) for each in requests)
    if subject.gap:
        return Measured(at_least=failed, note=subject.gap)
    return Measured(value=failed)


def failure_share(subject: Subject) -> Measured:
    """Which part of them failed, from 0 to 1."""
    requests = subject.requests()
    if not requests:
        return Measured(note="there were no such requests")
    if subject.gap:
        return Measured(note=subject.gap)
    return Measured(value=round(sum(map(is_failed, requests)) / len(requests), 6))


def longest_gap_s(subject: Subject) -> Measured:
    """The longest time without a successful reply, from the fault to the end of the load."""
    requests = subject.requests()
    begins_at, ends_at = subject.since, _load_ended_at(subject.evidence)
    if not requests or begins_at is None or ends_at is None:
        return Measured(note="there were no such requests, or the run's times are unknown")
    if subject.gap:
        return Measured(note=subject.gap)
    successes = sorted(
        each.ended_at for each in requests if each.ended_at is not None and not is_failed(each)
    )
    moments = [begins_at, *(at for at in successes if at <= ends_at), max(begins_at, ends_at)]
    gaps = (later - earlier for earlier, later in itertools.pairwise(moments))
    return Measured(value=max(gaps) / 1e6)


def replacement_healthy_s(subject: Subject) -> Measured:
    """From the fault until a target that was not there before it is healthy."""
    run, events = subject.evidence.run, subject.evidence.events
    if run.fault is None or run.fault.started_at is None:
        return Measured(note="there was no fault")
    fault_at = run.fault.started_at
    targets = [each for each in events or () if each.source == "elb"]
    before = {each.subject for each in targets if each.at < fault_at}
    if not before:
        return Measured(note="the targets before the fault are not known")
    arrivals = [
        each.at
        for each in targets
        if each.at >= fault_at and each.subject not in before and each.event == "healthy"
    ]
    if arrivals:
        return Measured(value=(min(arrivals) - fault_at) / 1e6)
    watched_until = max(each.at for each in events or ())
    note = "no replacement was seen"
    return Measured(at_least=(watched_until - fault_at) / 1e6, note=note)


def invariants_broken(subject: Subject) -> Measured:
    """How many invariants are broken; at least so many where some are undecided."""
    broken = sum(each.verdict is RunVerdict.BROKEN for each in subject.invariants)
    undecided = sum(each.verdict is RunVerdict.UNDECIDED for each in subject.invariants)
    if undecided:
        return Measured(at_least=broken, note=f"{undecided} invariants are undecided")
    return Measured(value=broken)


def _load_ended_at(evidence: Evidence) -> int | None:
    """When users were told to stop; after that no reply can be missed."""
    stops = [
        each.at
        for each in evidence.events or ()
        if each.source == "harness" and each.event in {"run_stopping", "run_interrupted"}
    ]
    return min(stops) if stops else evidence.run.ended_at


MEASURES: dict[str, Measure] = {
    each.__name__: each
    for each in (
        failed_requests,
        failure_share,
        longest_gap_s,
        replacement_healthy_s,
        invariants_broken,
    )
}
