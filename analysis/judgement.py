"""Judge a run from its files, and write the results beside them."""

from collections.abc import Callable, Mapping, Set
from typing import Any, TypeVar

from analysis.access_log import BalancerLog, trace_root
from analysis.clock import measure_clock
from analysis.errors import EvidenceError
from analysis.evidence import Evidence
from analysis.findings import Method
from analysis.hypotheses import score
from analysis.invariants import judge_invariants
from analysis.measures import Subject
from analysis.reconcile import reconcile
from analysis.records import RunVerdict
from analysis.retries import measure_retries
from analysis.run import parse_before, parse_run
from analysis.run_directory import RECONCILIATION_FILE, SUMMARY_FILE, RunDirectory
from analysis.summary import (
    RECONCILIATION_COLUMNS,
    FailOn,
    Judgement,
    reconciliation_rows,
    summarise,
)
from analysis.tables import ATTEMPTS, EVENTS, ORDERS, PRODUCTS, REQUESTS, Table
from analysis.windows import find_exposure, find_windows, traces_that_tell

ValueT = TypeVar("ValueT")


def judge_run(
    directory: RunDirectory,
    *,
    method: Method = Method.AUTO,
    late_window_s: float | None = None,
    fail_on: FailOn = FailOn.DATA,
) -> Judgement:
    """Judge a run and write reconciliation.csv and summary.json.

    EvidenceError if run.json or attempts.csv is missing, or one of the needed four unreadable.
    """
    # If this one fails, no older verdict may be taken for it.
    directory.discard_results()
    judgement = judge(
        load_evidence(directory), method=method, late_window_s=late_window_s, fail_on=fail_on
    )
    with directory.new_csv(RECONCILIATION_FILE, RECONCILIATION_COLUMNS) as put:
        for row in reconciliation_rows(judgement.findings, judgement.evidence.balancer):
            put(row)
    directory.write_json(SUMMARY_FILE, summarise(judgement))
    return judgement


def judge_again(directory: RunDirectory) -> Judgement:
    """Judge a run as it was judged before, so that its results come out the same."""
    summary = directory.read_summary()
    if summary is None:
        return judge_run(directory)
    try:
        method, fail_on = _method_of(summary), _failed_on(summary)
    except (KeyError, TypeError, ValueError) as error:
        message = f"{directory.path / SUMMARY_FILE} makes no sense; reconcile the run again"
        raise EvidenceError(message) from error
    return judge_run(
        directory,
        method=method,
        late_window_s=summary.get("late_window_s"),
        fail_on=fail_on,
    )


def _method_of(summary: Mapping[str, Any]) -> Method:
    """Which way was taken; without rows none was."""
    return Method.AUTO if summary["orders"]["rows"] is None else Method(summary["method"])


def _failed_on(summary: Mapping[str, Any]) -> FailOn:
    of_data = {RunVerdict.HELD: 0, RunVerdict.BROKEN: 1, RunVerdict.UNDECIDED: 2}
    if summary["exit_code"] == of_data[RunVerdict(summary["verdict"])]:
        return FailOn.DATA
    return FailOn.NEVER if summary["exit_code"] == 0 else FailOn.HYPOTHESIS


def judge(
    evidence: Evidence,
    *,
    method: Method = Method.AUTO,
    late_window_s: float | None = None,
    fail_on: FailOn = FailOn.DATA,
) -> Judgement:
    """Bring attempts and rows together, and draw everything from that."""
    findings = reconcile(
        evidence.attempts,
        evidence.orders,
        products=evidence.products,
        settled=evidence.is_settled,
        is_whole=evidence.is_whole,
        unseen_up_to=evidence.unseen_up_to,
        method=method,
        late_window_s=late_window_s,
        may_lack_attempts_of=evidence.may_lack_attempts_of,
    )
    invariants = judge_invariants(evidence, findings)
    windows = find_windows(evidence)
    subject = Subject(evidence=evidence, findings=findings, invariants=invariants, windows=windows)
    return Judgement(
        evidence=evidence,
        findings=findings,
        invariants=invariants,
        hypotheses=score(evidence.run.hypotheses, subject),
        windows=windows,
        exposure=find_exposure(evidence),
        clock=measure_clock(findings),
        late_window_s=late_window_s,
        retries=measure_retries(findings.attempts),
        fail_on=fail_on,
    )


def load_evidence(directory: RunDirectory, *, story_of: str = "") -> Evidence:
    """Read a run's files; what the verdict does not need may be missing or unreadable.

    `story_of` is the id of an attempt of which the load balancer's line is wanted in any case.
    """
    notes: list[str] = []
    content = directory.read_before()
    run = parse_run(directory.read_run())
    attempts = list(directory.read_table(ATTEMPTS))
    told = [trace_root(each.trace_id) for each in attempts if each.attempt_id == story_of]
    wanted = traces_that_tell(attempts, run.fault).union(filter(None, told))
    return Evidence(
        run=run,
        attempts=attempts,
        orders=_needed(directory, ORDERS, notes),
        products=_needed(directory, PRODUCTS, notes),
        requests=_helpful(lambda: list(directory.read_table(REQUESTS)), notes),
        events=_helpful(lambda: list(directory.read_table(EVENTS)), notes),
        before=parse_before(content) if content is not None else None,
        balancer=_balancer_log(directory, wanted, notes),
        notes=notes,
    )


def _balancer_log(
    directory: RunDirectory, wanted: Set[str], notes: list[str]
) -> BalancerLog | None:
    """Read of the load balancer's access log what is of use, if there is one."""
    if not directory.has_access_log():
        return None
    try:
        log = BalancerLog.of(directory.read_access_log(), wanted=wanted)
    except EvidenceError as error:
        notes.append(str(error))
        return None
    if log.unreadable:
        notes.append(f"{log.unreadable} lines of the load balancer's access log cannot be read")
    return log


def _needed(directory: RunDirectory, table: Table[ValueT], notes: list[str]) -> list[ValueT] | None:
    """Read a table that the verdict needs: without it nothing is held, damaged it is an error."""
    if not directory.has_table(table):
        notes.append(f"there is no {table.file_name}: the database was not read after the run")
        return None
    return list(directory.read_table(table))


def _helpful(load: Callable[[], list[ValueT]], notes: list[str]) -> list[ValueT] | None:
    try:
        return load()
    except EvidenceError as error:
        notes.append(str(error))
        return None
