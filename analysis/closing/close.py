"""Close a run's evidence, however the run ended: safe to do again, and after a kill -9."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from analysis.closing.progress import Progress
from analysis.evidence.errors import EvidenceError
from analysis.evidence.ledger.in_flight import InFlight
from analysis.evidence.ledger.line_records import LedgerFindings
from analysis.evidence.ledger.reader import Cells, LedgerReader
from analysis.evidence.ledger.tail import complete
from analysis.evidence.records import format_time
from analysis.evidence.run import Run, parse_run
from analysis.evidence.run_directory import RUN_FILE, RunDirectory
from analysis.evidence.tables import ATTEMPTS, ORDERS, PRODUCTS, REQUESTS, RecordT, Table

_LOOK_EVERY_S = 0.1
_LONG_TO_STORE_BYTES = 20_000_000  # about a second
_LARGE_BYTES = 100_000_000  # some 300,000 attempts


def close_evidence(directory: RunDirectory, *, limit_s: float) -> None:
    """Make attempts.csv and requests.csv from the ledgers, and end a run that ended suddenly.

    Files that exist are left as they are. EvidenceError if there is nothing to make them from, or
    if a ledger is still being written after `limit_s`: a run that goes on has no evidence yet.
    """
    run = parse_run(directory.read_run())
    is_collected = directory.has_table(ATTEMPTS) and directory.has_table(REQUESTS)
    if is_collected and run.ended_at is not None:
        return
    _await_writers(directory, limit_s=limit_s)
    findings = _collect(directory, run)
    found = ", ".join(f"{name} {count}" for name, count in asdict(findings).items())
    directory.note_event("evidence_closed", found)


def complete_part(directory: RunDirectory, *, limit_s: float) -> None:
    """Make the ledger of a worker that kept a directory of its own ready to be copied.

    EvidenceError says so: the run itself is elsewhere. Nothing is done to a run.
    """
    ledgers = directory.ledger_files()
    if directory.has(RUN_FILE) or not ledgers:
        return
    _await_writers(directory, limit_s=limit_s)
    for each in ledgers:
        complete(each)
    raise EvidenceError(
        f"{directory.path} has no run.json: it is a worker's part of a run. What is in "
        f"{ledgers[0].parent} can be copied into the run's own ledger/ now; finish that run"
    )


def add_parquet(directory: RunDirectory, *, every_table: bool = True) -> None:
    """Write tables as Parquet too: every one but events, or in a large run those that are judged.

    A large run is judged from Parquet in half of the time. Events may still be added.
    """
    # products.csv is written anew with orders.csv where that is missing.
    of_database = (ORDERS, PRODUCTS) if directory.has_table(ORDERS) else ()
    tables: list[Table[Any]] = [ATTEMPTS, REQUESTS, *of_database]
    if not every_table:
        judged = (ATTEMPTS, ORDERS)
        is_large = sum(directory.size(each.file_name) for each in judged) > _LARGE_BYTES
        tables = [each for each in tables if each in judged and is_large]
    with Progress() as progress:
        for table in tables:
            if directory.size(table.file_name) > _LONG_TO_STORE_BYTES:
                progress.tell(f"storing {table.file_name} as Parquet")
            directory.add_parquet(table)


def _await_writers(directory: RunDirectory, *, limit_s: float) -> None:
    """Wait for load generators that are about to end, as workers are whose master was killed."""
    give_up_at = time.monotonic() + limit_s
    while busy := [each for each in directory.ledger_files() if directory.is_being_written(each)]:
        if time.monotonic() >= give_up_at:
            raise EvidenceError(
                f"{busy[0]} is still being written, so the run is not over; end its Locust, "
                "then run `finish` again"
            )
        time.sleep(_LOOK_EVERY_S)


def _collect(directory: RunDirectory, run: Run) -> LedgerFindings:
    ledgers = directory.ledger_files()
    if not ledgers and not directory.has_table(ATTEMPTS):
        raise EvidenceError(
            f"{directory.path} has neither ledgers nor attempts.csv: no load was recorded"
        )
    with ExitStack() as files:
        reader = LedgerReader(
            put_attempt=_writer(directory, ATTEMPTS, files),
            put_request=_writer(directory, REQUESTS, files),
            in_flight=InFlight(folder=files.enter_context(directory.scratch())),
        )
        completed = {each for each in ledgers if complete(each)}
        of_bytes = sum(each.stat().st_size for each in ledgers)
        progress = files.enter_context(Progress(of_bytes=of_bytes))
        for ledger in ledgers:
            lines = progress.watch(directory.read_lines(ledger))
            # Of a worker elsewhere that was killed there never was a tail here.
            is_told_of = ledger.stem in run.incomplete_ledgers
            reader.read(lines, name=ledger.name, has_tail=ledger in completed or is_told_of)
        # attempts.csv comes last: once it is there, nobody looks into the ledgers again.
        changes: dict[str, object] = {"ledger": asdict(reader.findings)}
        if run.ended_at is None:
            at = reader.last_at or run.started_at
            changes["ended_at"] = format_time(at) if at is not None else None
            changes["interrupted"] = True
        directory.update_run(**changes)
    return reader.findings


def _writer(
    directory: RunDirectory, table: Table[RecordT], files: ExitStack
) -> Callable[[Cells], object]:
    """Return what adds a row to a new file, or to nothing where the file exists."""
    if directory.has_table(table):
        return lambda _cells: None
    directory.discard_parts(table.file_name)
    return files.enter_context(directory.new_csv(table.file_name, list(table.columns)))
