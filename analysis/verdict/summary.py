"""The results of a run in the form of the contract: summary.json and reconciliation.csv. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from analysis.evidence.records import Outcome, RunVerdict, Verdict, format_time
from analysis.judging.access_log import BalancerLine, BalancerLog
from analysis.judging.finding_records import AttemptFinding, Method, Reconciliation, RowFinding
from analysis.measures.hypotheses import Hypothesis
from analysis.verdict.judgement import FailOn, Judgement

RECONCILIATION_COLUMNS = [
    *("kind", "attempt_id", "order_key", "order_id", "product_id", "quantity"),
    *("outcome", "http_status", "error", "verdict", "evidence", "candidates"),
    *("balancer_status", "target", "target_status", "committed_at"),
]


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


def failed_on(summary: Mapping[str, Any]) -> FailOn:
    """Return what the exit code in a summary.json speaks of, so that it can come out the same."""
    of_data = {RunVerdict.HELD: 0, RunVerdict.BROKEN: 1, RunVerdict.UNDECIDED: 2}
    if summary["exit_code"] == of_data[RunVerdict(summary["verdict"])]:
        return FailOn.DATA
    return FailOn.NEVER if summary["exit_code"] == 0 else FailOn.HYPOTHESIS
