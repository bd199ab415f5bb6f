"""The results of a run in the form of the contract: summary.json and reconciliation.csv. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property

from analysis.evidence.answers import BAD_REPLY, cause_of_doubt, why_no_order_was_sent
from analysis.evidence.records import Outcome, RunVerdict, Verdict, format_time
from analysis.judging.access_log import BalancerLine, BalancerLog
from analysis.judging.clock import Clock
from analysis.judging.evidence import Evidence
from analysis.judging.findings import AttemptFinding, Method, Reconciliation, RowFinding
from analysis.judging.invariants import Invariant, worst
from analysis.measures.faults import FaultFinding
from analysis.measures.hypotheses import Hypothesis
from analysis.measures.latency import Latency, measure_latency
from analysis.measures.retries import Retries
from analysis.measures.windows import Exposure, Windows
from analysis.verdict.stories import Step, tell

RECONCILIATION_COLUMNS = [
    *("kind", "attempt_id", "order_key", "order_id", "product_id", "quantity"),
    *("outcome", "http_status", "error", "verdict", "evidence", "candidates"),
    *("balancer_status", "target", "target_status", "committed_at"),
]


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


def summarise(judgement: Judgement) -> dict[str, object]:
    """Return summary.json's content, as the contract has it."""
    evidence = judgement.evidence
    settle, first, late_window_s = evidence.run.settle, evidence.run.fault, judgement.late_window_s
    hidden = judgement.findings.unacknowledged
    return {
        "run_id": evidence.run.run_id,
        "verdict": judgement.verdict.value,
        "exit_code": judgement.exit_code,
        "attempts": _attempts(judgement),
        "indeterminate_by_cause": judgement.open_by_cause(),
        "orders": _orders(judgement.findings),
        "committed_by_cause": judgement.open_by_cause(Verdict.COMMITTED),
        "unacknowledged_orders": {**asdict(hidden), "value": format(hidden.value, "f")}
        if hidden
        else None,
        "method": judgement.findings.method.value,
        # What the verdict rests on besides the evidence, where something does.
        **({} if late_window_s is None else {"late_window_s": late_window_s}),
        "invariants": [asdict(each) for each in judgement.invariants],
        "hypotheses": [_hypothesis(each) for each in judgement.hypotheses],
        # The first that began, by which windows and phases are measured.
        "fault": next((each.as_json() for each in judgement.faults if each.fault == first), None),
        "faults": [each.as_json() for each in judgement.faults],
        "exposure": asdict(judgement.exposure),
        "windows": {
            name: window.as_json() if window else None
            for name, window in judgement.windows.by_name.items()
        },
        "clock": asdict(judgement.clock),
        "settle": settle.as_json() if settle else None,
        "latency": asdict(judgement.latency),
        **({"retries": judgement.retries.as_json()} if judgement.retries else {}),
    }


def _attempts(judgement: Judgement) -> dict[str, int]:
    outcomes = [
        *(Outcome.ACKNOWLEDGED, Outcome.REJECTED),
        *(Outcome.INDETERMINATE, Outcome.UNSENT),
    ]
    counts = {outcome.value: judgement.findings.count_outcome(outcome) for outcome in outcomes}
    return {"total": judgement.findings.attempt_count, **counts}


def _orders(findings: Reconciliation) -> dict[str, int | None]:
    """Counts are null where the orders table was not read: 0 lost would be a lie."""
    counts: dict[str, int | None] = {"rows": findings.row_count}
    for verdict in Verdict:
        is_known = findings.row_count is not None or verdict is Verdict.POSSIBLE
        counts[verdict.value] = findings.count(verdict) if is_known else None
    if findings.method is Method.INFERRED:
        counts["committed_total"] = findings.committed_total
    return counts


def _hypothesis(hypothesis: Hypothesis) -> dict[str, object]:
    """Leave the note out, which is for people."""
    return {name: value for name, value in asdict(hypothesis).items() if name != "note"}


def reconciliation_rows(
    findings: Reconciliation, balancer: BalancerLog | None
) -> Iterator[list[str]]:
    """Yield the rows of reconciliation.csv: every attempt judged, then every row that is wrong."""
    for attempt in findings.attempts:
        line = balancer.of_trace(attempt.attempt.trace_id) if balancer is not None else None
        yield _attempt_row(attempt, line)
    for row in findings.rows:
        yield _wrong_row(row)


def _attempt_row(finding: AttemptFinding, line: BalancerLine | None) -> list[str]:
    attempt = finding.attempt
    # What names an id without a promise may name anything, a job that waits for instance.
    order_id = attempt.order_id if attempt.outcome is not Outcome.INDETERMINATE else None
    if order_id is None and finding.row is not None:
        order_id = finding.row.id
    return [
        *("attempt", attempt.attempt_id, attempt.order_key, _text(order_id)),
        *(str(attempt.product_id), str(attempt.quantity), attempt.outcome.value),
        *(_text(attempt.http_status), attempt.error, finding.verdict or ""),
        *(finding.evidence.value, str(finding.candidates)),
        *((_text(line.status), line.target, _text(line.target_status)) if line else ("", "", "")),
        _time(finding.own_row.committed_at if finding.own_row else None),
    ]


def _wrong_row(finding: RowFinding) -> list[str]:
    row = finding.row
    evidence = "key" if row.attempt_id or row.order_key else "none"
    return [
        *("row", row.attempt_id, row.order_key, str(row.id)),
        *(_text(row.product_id), _text(row.quantity), "", "", ""),
        *(finding.verdict.value, evidence, ""),
        *("", "", "", _time(row.committed_at)),
    ]


def _time(at: int | None) -> str:
    return "" if at is None else format_time(at)


def _text(value: int | None) -> str:
    return "" if value is None else str(value)
