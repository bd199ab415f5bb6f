"""Judge a run from its files, and write the results beside them."""

import gc
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from analysis.evidence.errors import EvidenceError, UsageError
from analysis.evidence.files.text import csv_lines
from analysis.evidence.files.writing import put_in_place
from analysis.evidence.records import Event
from analysis.evidence.run import parse_before, parse_run
from analysis.evidence.run_directory import RECONCILIATION_FILE, SUMMARY_FILE, RunDirectory
from analysis.evidence.tables import ATTEMPTS, EVENTS, ORDERS, PRODUCTS, REQUESTS, Table
from analysis.judging.access_log import BalancerLog, trace_root
from analysis.judging.attempt_verdicts import reconcile
from analysis.judging.clock import measure_clock
from analysis.judging.evidence import Evidence
from analysis.judging.finding_records import Method
from analysis.judging.invariant_verdicts import judge_invariants
from analysis.judging.undisputed import Question
from analysis.measures.faults import judge_faults
from analysis.measures.hypotheses import score
from analysis.measures.hypothesis_measures import Subject
from analysis.measures.retries import measure_retries
from analysis.measures.windows import find_exposure, find_windows, traces_that_tell
from analysis.verdict.judgement import FailOn, Judgement
from analysis.verdict.summary import (
    RECONCILIATION_COLUMNS,
    failed_on,
    reconciliation_rows,
    summarise,
)

if TYPE_CHECKING:
    from analysis.bulk.engine import Connect
    from analysis.bulk.set_aside import Bulk

ValueT = TypeVar("ValueT")

# Some 30,000 attempts: below this there is little to save.
_LARGE = 10_000_000


def judge_run(
    directory: RunDirectory,
    *,
    method: Method = Method.AUTO,
    late_window_s: float | None = None,
    fail_on: FailOn = FailOn.DATA,
    set_aside_above: int = _LARGE,
    memory: str | None = None,
    connect: "Connect | None" = None,
) -> Judgement:
    """Judge a run and write reconciliation.csv and summary.json.

    Of evidence larger than `set_aside_above` bytes the undisputed attempts are set aside first, in
    DuckDB, which takes no more than `memory` (half of the machine's by default). That changes no
    byte of the results. With `connect` they are set aside in another engine, whatever the size, and
    the run's tables may lie elsewhere; that it cannot be done is an error then. EvidenceError if
    run.json or attempts.csv is missing, or one of the needed four unreadable.
    """
    around = _around(directory)
    question = Question(
        products=around.products,
        fault_at=around.run.fault.started_at if around.run.fault else None,
        may_be_absent=around.is_settled and around.unseen_up_to is None,
        has_log=directory.access_log.are_there(),
    )
    if connect is not None and method is Method.INFERRED:
        raise UsageError("--method inferred is judged here alone: leave out --engine")
    sizes = [directory.size(directory.stored(each.file_name).name) for each in (ATTEMPTS, ORDERS)]
    is_large = all(sizes) and sum(sizes) > set_aside_above and method is not Method.INFERRED
    with ExitStack() as until_written:
        bulk = None
        if connect is not None:
            # Before what an earlier judgement wrote is removed: the engine may not be there.
            bulk = until_written.enter_context(_set_aside(directory, question, memory, connect))
        until_written.enter_context(directory.new_results())
        until_written.enter_context(_no_collection())
        if is_large and connect is None:
            bulk = until_written.enter_context(_set_aside(directory, question, memory))
        evidence = _with_balancer(directory, _evidence(directory, around, bulk))
        judgement = judge(evidence, method=method, late_window_s=late_window_s, fail_on=fail_on)
        _write_reconciliation(directory, judgement, bulk)
        directory.write_json(SUMMARY_FILE, summarise(judgement))
    return judgement


def _set_aside(
    directory: RunDirectory,
    question: Question,
    memory: str | None,
    connect: "Connect | None" = None,
) -> AbstractContextManager["Bulk | None"]:
    """In the engine that was asked for, where that is needed, or in DuckDB, slow to import."""
    from analysis.bulk.set_aside import set_aside  # noqa: PLC0415 -- few runs need it

    if connect is not None:
        return set_aside(directory, question, connect, is_needed=True)
    from analysis.bulk.duckdb_engine import in_duckdb  # noqa: PLC0415 -- few runs need it

    return set_aside(directory, question, in_duckdb(memory))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no garbage in cycles: judging makes none, and walks over millions of records."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _write_reconciliation(
    directory: RunDirectory, judgement: Judgement, bulk: "Bulk | None"
) -> None:
    findings = judgement.findings
    rows = reconciliation_rows(findings, judgement.evidence.balancer)
    if bulk is None:
        with directory.new_csv(RECONCILIATION_FILE, RECONCILIATION_COLUMNS) as put:
            for row in rows:
                put(row)
        return
    lines = csv_lines(rows)
    of_attempts = [each.attempt for each in findings.attempts]
    written = bulk.write(RECONCILIATION_FILE, RECONCILIATION_COLUMNS, of_attempts, lines)
    put_in_place(written, directory.path / RECONCILIATION_FILE)


def judge_again(directory: RunDirectory, *, memory: str | None = None) -> Judgement:
    """Judge a run as it was judged before, so that its results come out the same."""
    summary = directory.read_summary()
    if summary is None:
        return judge_run(directory, memory=memory)
    try:
        # Without rows no way was taken.
        was_read = summary["orders"]["rows"] is not None
        method = Method(summary["method"]) if was_read else Method.AUTO
        fail_on = failed_on(summary)
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(
            f"{directory.path / SUMMARY_FILE} makes no sense; reconcile the run again"
        ) from error
    return judge_run(
        directory,
        method=method,
        late_window_s=summary.get("late_window_s"),
        fail_on=fail_on,
        memory=memory,
    )


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
        undisputed=evidence.undisputed,
        money=evidence.run.money,
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
        faults=judge_faults(evidence.run, evidence.events),
        late_window_s=late_window_s,
        retries=measure_retries(findings.attempts),
        fail_on=fail_on,
    )


def load_evidence(directory: RunDirectory, *, story_of: str = "") -> Evidence:
    """Read a run's files; what the verdict does not need may be missing or unreadable.

    `story_of` is the id of an attempt of which the load balancer's line is wanted in any case.
    """
    whole = _evidence(directory, _around(directory), bulk=None)
    return _with_balancer(directory, whole, story_of=story_of)


def _evidence(directory: RunDirectory, around: Evidence, bulk: "Bulk | None") -> Evidence:
    """Add attempts and orders, without those that were set aside."""
    if bulk is None:
        attempts = list(directory.read_table(ATTEMPTS))
        return replace(around, attempts=attempts, orders=_needed(directory, ORDERS, around.notes))
    return replace(around, attempts=bulk.attempts, orders=bulk.rows, undisputed=bulk.undisputed)


def _around(directory: RunDirectory) -> Evidence:
    """Read everything but attempts and orders."""
    notes: list[str] = []
    content = directory.read_before()
    return Evidence(
        run=parse_run(directory.read_run()),
        attempts=[],
        orders=None,
        products=_needed(directory, PRODUCTS, notes),
        requests=_helpful(lambda: list(directory.read_table(REQUESTS)), notes),
        events=_helpful(lambda: list(directory.read_table(EVENTS)), notes),
        before=parse_before(content) if content is not None else None,
        notes=notes,
    )


def _with_balancer(directory: RunDirectory, evidence: Evidence, *, story_of: str = "") -> Evidence:
    attempts = evidence.attempts
    told = [trace_root(each.trace_id) for each in attempts if each.attempt_id == story_of]
    wanted = traces_that_tell(attempts, evidence.run.fault).union(filter(None, told))
    ours = evidence.run.load_balancers
    return replace(evidence, balancer=_balancer_log(directory, wanted, ours, evidence.notes))


def _balancer_log(
    directory: RunDirectory, wanted: Set[str], ours: Sequence[str], notes: list[str]
) -> BalancerLog | None:
    """Read of the load balancer's access log what is of use, if there is one."""
    if not directory.access_log.are_there():
        return None
    try:
        log = BalancerLog.of(directory.access_log.lines(), wanted=wanted, ours=ours)
    except EvidenceError as error:
        notes.append(str(error))
        return None
    if log.unreadable:
        notes.append(f"{log.unreadable} lines of the load balancer's access log cannot be read")
    if log.why_none:
        notes.append(log.why_none)
        return None
    return log


def _needed(directory: RunDirectory, table: Table[ValueT], notes: list[str]) -> list[ValueT] | None:
    """Read a table that the verdict needs: without it nothing is held, damaged it is an error."""
    if not directory.has_table(table):
        notes.append(f"there is no {table.file_name}: the database was not read after the run")
        return None
    return list(directory.read_table(table))


def events_of(directory: RunDirectory) -> list[Event]:
    """Return the run's events; none where there are none that can be read."""
    return _helpful(lambda: list(directory.read_table(EVENTS)), []) or []


def _helpful(load: Callable[[], list[ValueT]], notes: list[str]) -> list[ValueT] | None:
    try:
        return load()
    except EvidenceError as error:
        notes.append(str(error))
        return None
