"""What a hypothesis can be about: each measure takes one number from a run. Pure.

To add one, write a function from a `Subject` and a table to a `Measured` and register it.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.evidence.ledger.failures import RUN_STOPPING, ended_requests, is_failed
from analysis.evidence.ledger.reader import IN_FLIGHT
from analysis.evidence.records import Request, RunVerdict, Verdict
from analysis.evidence.run import HypothesisTable
from analysis.judging.evidence import Evidence
from analysis.judging.finding_records import Reconciliation
from analysis.judging.invariant_verdicts import Invariant
from analysis.judging.invariants import CHECKS
from analysis.measures.faults import describe_faults, judge_faults
from analysis.measures.windows import Window, Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A measurement. Where it is not complete it is `at_least` something, or nothing at all.

    `span_s` is given where the end of the load cut the measuring short: no more than that could
    have been measured, so to be below it proves nothing.
    """

    value: float | None = None
    at_least: float | None = None
    note: str = ""
    span_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A judged run, as measures look at it."""

    evidence: Evidence
    findings: Reconciliation
    invariants: Sequence[Invariant]
    windows: Windows

    @property
    def missing_fault(self) -> str:
        """Say why there is no fault to measure by; empty if there is, or none was asked for."""
        found = judge_faults(self.evidence.run, self.evidence.events)
        if missing := describe_faults([each.as_json() for each in found]):
            return missing
        fault = self.evidence.run.fault
        return "it is not known when the fault began" if fault and fault.started_at is None else ""

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
    def load_ended_at(self) -> int | None:
        """When users were told to stop; after that no reply can be missed."""
        stops = [
            each.at
            for each in self.evidence.events or ()
            if each.source == "harness" and each.event in {"run_stopping", "run_interrupted"}
        ]
        return min(stops) if stops else self.evidence.run.ended_at

    def why_open(self, table: HypothesisTable) -> str:
        """Say why the table's phase was still going on as the load ended; empty if it was not."""
        is_open = table.phase == "during" and self.recovered_at is None
        return (
            "the recovery was not seen, so `during` had not ended with the load" if is_open else ""
        )

    @property
    def gap(self) -> str:
        """Say where requests may be missing; empty if nowhere."""
        return "; ".join(self.evidence.gaps)

    def requests(self, table: HypothesisTable) -> list[Request] | None:
        """Return the named requests that ended in the table's phase; None if none can be told."""
        found = self.evidence.requests
        phase = _stretch(self, table.phase)
        if found is None or phase is None:
            return None
        begins_at, ends_at = phase
        requests = ended_requests(found, since=begins_at, names=table.requests)
        return [each for each in requests if ends_at is None or (each.ended_at or 0) < ends_at]

    def open_for(self, table: HypothesisTable) -> list[int]:
        """Return how long the named requests had taken that the end of the load cut off."""
        ended_at, phase = self.load_ended_at, _stretch(self, table.phase)
        if ended_at is None or phase is None or (phase[1] is not None and phase[1] <= ended_at):
            return []
        return [
            max(0, ended_at - begun_at)
            for each in self.evidence.requests or ()
            if (each.ended_at is None or each.error in {IN_FLIGHT, RUN_STOPPING})
            and (not table.requests or f"{each.method} {each.name}" in table.requests)
            and (begun_at := _begun_at(each)) is not None
        ]


_Stretch = tuple[int | None, int | None]


# From the fault to the end is `since`; `during` is until the replacement is in service.
PHASES = ("before", "during", "after", "since", "whole")


def _stretch(subject: Subject, phase: str) -> _Stretch | None:
    """Return from when until when a phase was; None where that is not known."""
    run, began_at, recovered_at = subject.evidence.run, subject.fault_began_at, subject.recovered_at
    match phase:
        case "before":
            return None if began_at is None else (None, began_at)
        case "during":
            return None if began_at is None else (began_at, recovered_at)
        case "after":
            return None if recovered_at is None else (recovered_at, None)
        case "whole":
            return (None, None)
        case _:
            return (began_at if run.fault else run.started_at, None)


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
    return _no_less(sum(map(is_failed, requests)), subject.gap or subject.why_open(table))


@_measure()
def failure_share(subject: Subject, table: HypothesisTable) -> Measured:
    """Which part of them failed, from 0 to 1."""
    requests = subject.requests(table)
    why_not = subject.gap or subject.why_open(table)
    if not requests or why_not:
        return Measured(note=why_not) if requests else _NO_REQUESTS
    return Measured(value=round(sum(map(is_failed, requests)) / len(requests), 6))


@_measure()
def latency_ms(subject: Subject, table: HypothesisTable) -> Measured:
    """A percentile (`percentile`, 95 if not given) of how long they took, failed ones too.

    From when a request was due, where that is known, else from when it was sent; nearest rank.
    """
    took = sorted(
        each.ended_at - begun_at
        for each in subject.requests(table) or ()
        if each.ended_at is not None and (begun_at := _begun_at(each)) is not None
    )
    why_not = subject.gap or subject.why_open(table)
    if not took or why_not:
        return Measured(note=why_not) if took else _NO_REQUESTS
    percentile = 95 if table.percentile is None else table.percentile
    value = _percentile(took, percentile) / 1000
    cut_off: list[float] = [*subject.open_for(table)]
    least = _percentile(sorted([*took, *cut_off]), percentile) / 1000
    most = _percentile([*took, *(math.inf for _ in cut_off)], percentile) / 1000
    if not cut_off or table.at_most is None or most <= table.at_most:
        return Measured(value=value)
    note = f"{len(cut_off)} requests were on their way as the load ended, and may take longer"
    return Measured(value=max(value, least), at_least=least, note=note)


def _percentile(took: Sequence[float], percentile: float) -> float:
    return took[math.ceil(len(took) * percentile / 100) - 1]


def _begun_at(request: Request) -> int | None:
    return request.due_at if request.due_at is not None else request.sent_at


@_measure()
def longest_gap_s(subject: Subject, table: HypothesisTable) -> Measured:
    """The longest time without a successful reply, within the phase and the load.

    One that is still open as the load ends, and is more than twice what was usual before the
    fault, may have become any longer.
    """
    requests = subject.requests(table)
    phase = _stretch(subject, table.phase)
    load_ends_at = subject.load_ended_at
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
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    longest_s = max(gaps) / 1e6
    # `during` ends by itself, with the recovery; all others with the load, or with the fault.
    if table.phase == "during" and phase[1] is not None and phase[1] < load_ends_at:
        return Measured(value=longest_s)
    is_open = len(gaps) > 1 and gaps[-1] > 2 * (_usual_gap(subject, table) or max(gaps[:-1]))
    why_more = "the last gap was still open at the end" if is_open else subject.why_open(table)
    if why_more:
        return Measured(value=longest_s, at_least=longest_s, note=why_more)
    return Measured(value=longest_s, span_s=(moments[-1] - begins_at) / 1e6)


def _usual_gap(subject: Subject, table: HypothesisTable) -> int | None:
    """Return the longest time between successes before the fault; None if there were not two."""
    fault_at = subject.fault_began_at
    successes = sorted(
        each.ended_at
        for each in ended_requests(subject.evidence.requests or (), names=table.requests)
        if each.ended_at is not None and not is_failed(each)
        if fault_at is None or each.ended_at < fault_at
    )
    return max((later - earlier for earlier, later in itertools.pairwise(successes)), default=None)


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
        return _felt(subject, window)
    if window is not None:
        return Measured(value=window.seconds)
    return Measured(note=f"the {table.of} window was not seen to end")


def _felt(subject: Subject, window: Window | None) -> Measured:
    """How long clients felt it; they still do where a request's last reply is a failure."""
    fault_at, ended_at = subject.fault_began_at, subject.load_ended_at
    last: dict[str, tuple[int, bool]] = {}
    for each in ended_requests(subject.evidence.requests or (), since=fault_at):
        name = f"{each.method} {each.name}"
        last[name] = max(last.get(name, (0, False)), (each.ended_at or 0, is_failed(each)))
    if not last:
        return Measured(note="no request ended after the fault began")
    seconds = window.seconds if window else 0
    failing = sorted(name for name, (_, has_failed) in last.items() if has_failed)
    if failing:
        note = f"{', '.join(failing)} still failed as the load ended"
        return Measured(value=seconds, at_least=seconds, note=note)
    if subject.gap or fault_at is None or ended_at is None:
        return _no_less(seconds, subject.gap)
    return Measured(value=seconds, span_s=(ended_at - fault_at) / 1e6)


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
    return _no_less(count, subject.gap)


def _no_less(value: float, why_more: str) -> Measured:
    """Measure what can only be more where requests are missing, or still to come."""
    if why_more:
        return Measured(at_least=value, note=why_more)
    return Measured(value=value)
