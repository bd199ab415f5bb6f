"""What a hypothesis can be about: each measure takes one number from a run. Pure.

To add one, write a function from a `Subject` and a table to a `Measured` and register it.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.checks import CHECKS
from analysis.evidence import Evidence
from analysis.failures import ended_requests, is_failed
from analysis.findings import Reconciliation
from analysis.invariants import Invariant
from analysis.records import Request, RunVerdict, Verdict
from analysis.run import HypothesisTable
from analysis.windows import Windows

__all__ = ["MEASURES", "PHASES", "Measure", "Measured", "Subject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A measurement. Where it is not complete it is `at_least` something, or nothing at all."""

    value: float | None = None
    at_least: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A judged run, as measures look at it."""

    evidence: Evidence
    findings: Reconciliation
    invariants: Sequence[Invariant]
    windows: Windows

    @property
    def fault_is_missing(self) -> bool:
        """Whether a fault was planned, but never began."""
        fault = self.evidence.run.fault
        return fault is not None and fault.started_at is None

    @property
    def fault_began_at(self) -> int | None:
        """When the fault began; None without one."""
        fault = self.evidence.run.fault
        return fault.started_at if fault else None

    @property
    def recovered_at(self) -> int | None:
        """When the architecture had answered the fault: as far as scaling, or routing, tells.

        None where neither was seen to end.
        """
        seen = self.windows.autoscaling or self.windows.load_balancer
        return seen.ends_at if seen else None

    @property
    def gap(self) -> str:
        """Say where requests may be missing; empty if nowhere."""
        return "; ".join(self.evidence.gaps)

    def requests(self, table: HypothesisTable) -> list[Request] | None:
        """Return the named requests that ended in the table's phase; None if none can be told."""
        found = self.evidence.requests
        phase = PHASES[table.phase or "since"](self)
        if found is None or phase is None:
            return None
        begins_at, ends_at = phase
        requests = ended_requests(found, since=begins_at, names=table.requests)
        return [each for each in requests if ends_at is None or (each.ended_at or 0) < ends_at]


_Stretch = tuple[int | None, int | None]


def _before(subject: Subject) -> _Stretch | None:
    began_at = subject.fault_began_at
    return None if began_at is None else (None, began_at)


def _during(subject: Subject) -> _Stretch | None:
    began_at = subject.fault_began_at
    return None if began_at is None else (began_at, subject.recovered_at)


def _after(subject: Subject) -> _Stretch | None:
    recovered_at = subject.recovered_at
    return None if recovered_at is None else (recovered_at, None)


def _since(subject: Subject) -> _Stretch:
    run = subject.evidence.run
    return (run.fault.started_at if run.fault else run.started_at, None)


def _whole(_subject: Subject) -> _Stretch:
    return (None, None)


# From the fault to the end is `since`; `during` is until the replacement is in service.
PHASES: dict[str, Callable[[Subject], _Stretch | None]] = {
    "before": _before,
    "during": _during,
    "after": _after,
    "since": _since,
    "whole": _whole,
}

Take = Callable[[Subject, HypothesisTable], Measured]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A measure, and what its table has to name: one of `choices`, under the key `about`."""

    take: Take
    about: str = ""
    choices: tuple[str, ...] = ()
    needs_fault: bool = True


MEASURES: dict[str, Measure] = {}


def _measure(
    *, about: str = "", choices: Sequence[str] = (), needs_fault: bool = True
) -> Callable[[Take], Take]:
    def register(take: Take) -> Take:
        MEASURES[take.__name__] = Measure(
            take=take, about=about, choices=tuple(choices), needs_fault=needs_fault
        )
        return take

    return register


_NO_REQUESTS = Measured(note="there were no such requests")


@_measure()
def failed_requests(subject: Subject, table: HypothesisTable) -> Measured:
    """How many of the named requests failed."""
    requests = subject.requests(table)
    if not requests:
        return _NO_REQUESTS
    return _no_less(sum(map(is_failed, requests)), subject)


@_measure()
def failure_share(subject: Subject, table: HypothesisTable) -> Measured:
    """Which part of them failed, from 0 to 1."""
    requests = subject.requests(table)
    if not requests or subject.gap:
        return Measured(note=subject.gap) if requests else _NO_REQUESTS
    return Measured(value=round(sum(map(is_failed, requests)) / len(requests), 6))


@_measure()
def latency_ms(subject: Subject, table: HypothesisTable) -> Measured:
    """A percentile (`percentile`, 95 if not given) of how long they took, failed ones too.

    From when a request was due, where that is known, else from when it was sent; nearest rank.
    """
    took = sorted(
        each.ended_at - begun_at
        for each in subject.requests(table) or ()
        if each.ended_at is not None
        and (begun_at := each.due_at if each.due_at is not None else each.sent_at) is not None
    )
    if not took or subject.gap:
        return Measured(note=subject.gap) if took else _NO_REQUESTS
    percentile = 95 if table.percentile is None else table.percentile
    return Measured(value=took[math.ceil(len(took) * percentile / 100) - 1] / 1000)


@_measure()
def longest_gap_s(subject: Subject, table: HypothesisTable) -> Measured:
    """The longest time without a successful reply, within the phase and the load."""
    requests = subject.requests(table)
    phase = PHASES[table.phase or "since"](subject)
    load_ends_at = _load_ended_at(subject.evidence)
    if not requests or phase is None or load_ends_at is None:
        return Measured(note="there were no such requests, or the run's times are unknown")
    begins_at = subject.evidence.run.started_at if phase[0] is None else phase[0]
    ends_at = load_ends_at if phase[1] is None else min(phase[1], load_ends_at)
    if begins_at is None or subject.gap:
        return Measured(note=subject.gap or "it is not known when the run began")
    successes = sorted(
        each.ended_at for each in requests if each.ended_at is not None and not is_failed(each)
    )
    moments = [begins_at, *(at for at in successes if at <= ends_at), max(begins_at, ends_at)]
    gaps = (later - earlier for earlier, later in itertools.pairwise(moments))
    return Measured(value=max(gaps) / 1e6)


@_measure()
def replacement_healthy_s(subject: Subject, _table: HypothesisTable) -> Measured:
    """From the fault until a target that was not there before it is healthy."""
    fault_at, events = subject.fault_began_at, subject.evidence.events
    if fault_at is None:
        return Measured(note="there was no fault")
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


@_measure(about="window", choices=("client", "load_balancer", "autoscaling"))
def window_s(subject: Subject, table: HypothesisTable) -> Measured:
    """How long a window of the fault was; none at all is 0 s for clients, who felt nothing."""
    if subject.fault_began_at is None:
        return Measured(note="there was no fault")
    window = getattr(subject.windows, table.of)
    if table.of == "client" and subject.evidence.requests:
        return _no_less(window.seconds if window else 0, subject)
    if window is not None:
        return Measured(value=window.seconds)
    return Measured(note=f"the {table.of} window was not seen to end")


@_measure(about="invariant", choices=[name for name, _, _ in CHECKS], needs_fault=False)
def invariant(subject: Subject, table: HypothesisTable) -> Measured:
    """1 if the invariant is broken, 0 if it held."""
    found = next((each for each in subject.invariants if each.id == table.of), None)
    if found is None or found.verdict is RunVerdict.UNDECIDED:
        return Measured(note=found.detail if found else f"{table.of} was not judged")
    return Measured(value=int(found.verdict is RunVerdict.BROKEN))


@_measure(needs_fault=False)
def invariants_broken(subject: Subject, _table: HypothesisTable) -> Measured:
    """How many invariants are broken; at least so many where some are undecided."""
    verdicts = Counter(each.verdict for each in subject.invariants)
    broken, undecided = verdicts[RunVerdict.BROKEN], verdicts[RunVerdict.UNDECIDED]
    if undecided:
        return Measured(at_least=broken, note=f"{undecided} invariants are undecided")
    return Measured(value=broken)


@_measure(about="verdict", choices=[each.value for each in Verdict], needs_fault=False)
def verdict_count(subject: Subject, table: HypothesisTable) -> Measured:
    """How many attempts (or rows) have a verdict; those that are possible may be more."""
    if subject.findings.row_count is None:
        return Measured(note="the orders table was not read")
    count = subject.findings.count(Verdict(table.of))
    open_ones = subject.findings.count(Verdict.POSSIBLE)
    if open_ones and table.of in (Verdict.COMMITTED, Verdict.ABSENT):
        return Measured(at_least=count, note=f"{open_ones} attempts are in doubt")
    return _no_less(count, subject)


def _no_less(value: float, subject: Subject) -> Measured:
    """Measure what can only be more where requests are missing."""
    if subject.gap:
        return Measured(at_least=value, note=subject.gap)
    return Measured(value=value)


def _load_ended_at(evidence: Evidence) -> int | None:
    """When users were told to stop; after that no reply can be missed."""
    stops = [
        each.at
        for each in evidence.events or ()
        if each.source == "harness" and each.event in {"run_stopping", "run_interrupted"}
    ]
    return min(stops) if stops else evidence.run.ended_at
