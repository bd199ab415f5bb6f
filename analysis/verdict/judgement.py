"""What was found out about a run, and the verdict and the exit code that follow. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from analysis.evidence.answers import BAD_REPLY, cause_of_doubt, why_no_order_was_sent
from analysis.evidence.records import Outcome, RunVerdict, Verdict
from analysis.judging.clock import Clock
from analysis.judging.evidence import Evidence
from analysis.judging.finding_records import AttemptFinding, Reconciliation
from analysis.judging.invariant_verdicts import Invariant, worst
from analysis.measures.faults import FaultFinding
from analysis.measures.hypotheses import Hypothesis
from analysis.measures.latency import Latency, measure_latency
from analysis.measures.retries import Retries
from analysis.measures.windows import Exposure, Windows
from analysis.verdict.stories import Step, tell


class FailOn(StrEnum):
    """What makes a run's exit code other than 0."""

    DATA = "data"
    HYPOTHESIS = "hypothesis"
    NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Everything that was found out about a run; what takes long to count is counted once."""

    evidence: Evidence
    findings: Reconciliation
    invariants: list[Invariant]
    hypotheses: list[Hypothesis]
    windows: Windows
    exposure: Exposure
    clock: Clock
    faults: list[FaultFinding] = field(default_factory=list)
    late_window_s: float | None = None
    retries: Retries | None = None
    fail_on: FailOn = FailOn.DATA

    @property
    def verdict(self) -> RunVerdict:
        """The run's verdict: that of its worst invariant, and of its faults having happened."""
        verdicts = [each.verdict for each in self.invariants]
        # Faults alone prove nothing: where no invariant was judged, nothing is held.
        return worst([*verdicts, *(each.verdict for each in self.faults)] if verdicts else [])

    @property
    def exit_code(self) -> int:
        """0 held, 1 broken, 2 undecided, of what the run is to fail on."""
        if self.fail_on is FailOn.NEVER:
            return 0
        verdicts = [self.verdict]
        if self.fail_on is FailOn.HYPOTHESIS:
            verdicts += [each.verdict for each in self.hypotheses]
        return {RunVerdict.HELD: 0, RunVerdict.BROKEN: 1, RunVerdict.UNDECIDED: 2}[worst(verdicts)]

    @cached_property
    def latency(self) -> Latency:
        """How long attempts took, from when they were due and from when they were sent."""
        attempts = (each.attempt for each in self.findings.attempts)
        ended_at = self.evidence.run.ended_at
        undisputed = self.findings.undisputed
        return measure_latency(attempts, ended_at=ended_at, undisputed=undisputed)

    def open_by_cause(self, verdict: Verdict | None = None) -> dict[str, int]:
        """Return how many indeterminate attempts there are by cause, with a verdict if given."""
        causes: Counter[str] = Counter()
        for (cause, found), count in self._open.items():
            if verdict in {None, found}:
                causes[cause] += count
        return dict(sorted(causes.items()))

    @cached_property
    def _open(self) -> Counter[tuple[str, Verdict | None]]:
        """How many attempts are indeterminate by cause and verdict."""
        found: Counter[tuple[str, Verdict | None]] = Counter()
        for ending, count in self.findings.endings.items():
            if ending.outcome is Outcome.INDETERMINATE:
                cause = cause_of_doubt(ending.http_status, ending.error)
                found[cause, ending.verdict] += count
        return found

    @cached_property
    def hidden(self) -> list[AttemptFinding]:
        """The attempts that made an order of which their customer was told nothing good.

        They are in order, and where some are undisputed, the first few of all are among these.
        """
        return [each for each in self.findings.attempts if each.verdict is Verdict.COMMITTED]

    def story_of(self, finding: AttemptFinding) -> list[Step]:
        """Return what the client, the load balancer and the database saw of an attempt."""
        balancer = self.evidence.balancer
        line = balancer.of_trace(finding.attempt.trace_id) if balancer is not None else None
        return tell(finding, line, offset_us=self.clock.certain_offset_us)

    @property
    def exposure_note(self) -> str:
        """What the run cannot speak about for want of orders in flight; empty if there is nothing.

        It is said only where a server is known to have been hit, and no order in doubt is, or may
        be, in the table.
        """
        fault = self.evidence.run.fault
        was_hit = any(each.happened for each in self.faults if each.fault == fault)
        hit = set(fault.targets) & self._servers if fault and was_hit else set()
        in_doubt = (Verdict.COMMITTED, Verdict.POSSIBLE)
        if self.exposure.on_victim != 0 or not hit or any(map(self.findings.count, in_doubt)):
            return ""
        return (
            "none was on the victim, so this run does not show what becomes of orders that a "
            "server dies with; give it more users, or orders that take longer"
        )

    @property
    def _servers(self) -> set[str]:
        """Return those that answered a request or that the load balancer had as targets."""
        answered = {each.served_by for each in self.evidence.requests or ()}
        targets = {each.subject for each in self.evidence.events or () if each.source == "elb"}
        return (answered | targets) - {""}

    @property
    def unclear_answers(self) -> list[str]:
        """Say of answers which field was not understood, and of products why none could be sent."""
        said = [
            f"{count} successes that answered an order were not understood"
            f"{error.removeprefix(BAD_REPLY)}"
            for error, count in self.open_by_cause().items()
            if error.startswith(f"{BAD_REPLY}: ")
        ]
        why = why_no_order_was_sent(self.evidence.events)
        return [*said, f"products were not understood: {why}"] if why else said
