"""Evidence that others wrote, by accident or in malice: one short line and 64, or a verdict.

Never a fault of ours (70), and never `held` on what cannot be read.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.evidence.records import Event
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ATTEMPTS, EVENTS, ORDERS, PRODUCTS, REQUESTS, Table
from tests.analysis.histories import (
    NOON,
    SECOND,
    acknowledged,
    evidence,
    indeterminate,
    request,
    row,
    store,
)

HUGE = "9" * 5000
TRACE = "Root=1-67891233-abcdef012345678912345678"
LINE = (
    "http 2026-11-23T12:00:06.186641Z app/x/1 127.0.0.1:1 127.0.1.1:80 0.001 0.002 0.000 502 - 34 "
    '366 "POST http://h:80/orders HTTP/1.1" "ua" - - arn:tg "{trace}" "-" "-" 0 '
    '2026-11-23T12:00:05.100000Z "forward" "-" "-" "127.0.1.1:80" "-" "-" "-"\n'
)
SILENT = indeterminate("b", trace_id=TRACE, sent_at=NOON + 5 * SECOND, ended_at=NOON + 6 * SECOND)
TOLD = acknowledged("a", 1, served_by="i-1")


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A run that holds, with every file that a verdict or a story looks at."""
    rows = [
        row(1, TOLD, committed_at=NOON + SECOND),
        row(2, SILENT, created_at=NOON + 5 * SECOND + 1, committed_at=NOON + 9 * SECOND),
    ]
    made = store(RunDirectory(tmp_path), evidence([TOLD, SILENT], rows))
    with made.new_table(REQUESTS) as put:
        put(request())
    made.append_event(Event(at=NOON, source="elb", subject="i-1", event="healthy", detail=""))
    fault = {"experiment_id": "E", "targets": ["i-1"], "started_at": "2026-11-23T12:00:05.5Z"}
    hypothesis = {"id": "h", "measure": "failed_requests", "at_most": 1}
    made.update_run(fault=fault, hypotheses=[hypothesis], health_check=None)
    (made.path / "elb_access.log").write_text(LINE.format(trace=TRACE), encoding="utf-8")
    return made


def judged(directory: RunDirectory, capsys: pytest.CaptureFixture[str]) -> int:
    """The exit code of judging it, telling a story of it and drawing it; stderr stays short."""
    commands = [("reconcile",), ("story", "b"), ("report",)]
    codes = [main([command, str(directory.path), *more]) for command, *more in commands]
    assert codes[1] == (64 if codes[0] == 64 else 0)
    assert codes[2] in (codes[1], 64)  # a page needs no more than what it can draw
    said = capsys.readouterr().err
    assert len(said.splitlines()) <= len(codes)
    assert len(said) < 2000
    return codes[0]


def put(directory: RunDirectory, table: Table[Any], column: str, text: str) -> None:
    """Put a text into a column of a table's last row."""
    path = directory.path / table.file_name
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[-1].split(",")
    cells[list(table.columns).index(column)] = '"' + text.replace('"', '""') + '"'
    path.write_text("\n".join([*lines[:-1], ",".join(cells)]) + "\n", encoding="utf-8")


def test_the_run_itself_holds(directory: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert judged(directory, capsys) == 0


@pytest.mark.parametrize(
    ("table", "column", "text"),
    [
        (ATTEMPTS, "sent_at", "x" * 1_000_000),
        (ATTEMPTS, "sent_at", "0001-01-01T00:00:00+14:00"),
        (ATTEMPTS, "outcome", "x" * 1_000_000),
        (ATTEMPTS, "product_id", HUGE),
        (ORDERS, "committed_at", "9999-12-31T23:59:59-14:00"),
        (ORDERS, "total", "9e999999"),
        (ORDERS, "total", "1e-999999"),
        (ORDERS, "total", "Infinity"),
        (PRODUCTS, "price", "9e999999"),
    ],
    ids=lambda value: str(getattr(value, "file_name", value))[:20],
)
def test_a_cell_that_makes_no_sense_is_named_in_one_short_line(
    directory: RunDirectory,
    capsys: pytest.CaptureFixture[str],
    table: Table[Any],
    column: str,
    text: str,
) -> None:
    put(directory, table, column, text)
    assert judged(directory, capsys) == 64


@pytest.mark.parametrize(
    ("table", "column", "text"),
    [
        (ATTEMPTS, "error", "=cmd|' /C calc'!A0"),
        (ATTEMPTS, "error", "x" * 1_000_000),
        (ATTEMPTS, "order_key", "a\x00b"),
        (ATTEMPTS, "quantity", "9" * 4000),
        (ATTEMPTS, "ended_at", "0001-01-01T00:00:00Z"),
        (ATTEMPTS, "ended_at", "9999-12-31T23:59:59.999999Z"),
        (ORDERS, "status", "@SUM(A1:A9)"),
        (ORDERS, "quantity", "9" * 4000),
        (ORDERS, "total", "9" * 900),
        (ORDERS, "created_at", "0001-01-01T00:00:00Z"),
        (ORDERS, "committed_at", "9999-12-31T23:59:59.999999Z"),
        (PRODUCTS, "stock_after", "-" + "9" * 4000),
        (EVENTS, "detail", "\x1b[2J\x00"),
    ],
    ids=lambda value: str(getattr(value, "file_name", value))[:20],
)
def test_a_cell_that_is_only_strange_is_judged(
    directory: RunDirectory,
    capsys: pytest.CaptureFixture[str],
    table: Table[Any],
    column: str,
    text: str,
) -> None:
    put(directory, table, column, text)
    assert judged(directory, capsys) in (0, 1, 2)


def test_what_looks_like_a_formula_is_kept_as_it_is(
    directory: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    put(directory, ATTEMPTS, "error", "=1+1")
    assert judged(directory, capsys) == 0
    assert ",=1+1," in (directory.path / "reconciliation.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "changes",
    [
        {"settle": {"settled": True, "waited_s": float("nan")}},
        {"settle": {"settled": True, "waited_s": 10**400}},
        {"hypotheses": [{"id": "h", "measure": "failed_requests", "at_most": float("nan")}]},
        {"hypotheses": [{"id": "h", "measure": "failed_requests", "at_least": float("-inf")}]},
        {"hypotheses": [{"id": "h", "measure": "failed_requests", "at_most": -(10**400)}]},
        {"hypotheses": [{"id": "h", "measure": "latency_ms", "percentile": float("nan")}]},
        {"health_check": {"interval_s": 1e400, "timeout_s": 5, "unhealthy_threshold": 3}},
        {"older_rows": float("inf")},
        {"ledger": {"torn_lines": HUGE}},
        {"started_at": "0001-01-01T00:00:00+14:00"},
    ],
    ids=str,
)
def test_a_number_that_measures_nothing_is_named_in_one_short_line(
    directory: RunDirectory, capsys: pytest.CaptureFixture[str], changes: dict[str, Any]
) -> None:
    content = directory.read_run() | changes
    (directory.path / "run.json").write_text(json.dumps(content), encoding="utf-8")
    assert judged(directory, capsys) == 64


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (" 0.001 0.002 ", " 1e400 0.002 "),
        (" 0.001 0.002 ", f" {HUGE} 0.002 "),
        (" 0.001 0.002 ", " nan inf "),
        ("2026-11-23T12:00:05.100000Z", "9999-12-31T23:59:59.999999Z"),
        ("2026-11-23T12:00:06.186641Z", "0001-01-01T00:00:00+14:00"),
        (" 502 - ", f" {HUGE} - "),
    ],
)
def test_a_line_of_the_access_log_that_makes_no_sense_is_no_witness(
    directory: RunDirectory, capsys: pytest.CaptureFixture[str], was: str, becomes: str
) -> None:
    assert was in LINE
    log = directory.path / "elb_access.log"
    log.write_text(LINE.replace(was, becomes).format(trace=TRACE), encoding="utf-8")
    assert judged(directory, capsys) == 0


@pytest.mark.parametrize("late_window", ["1e305", "nan", "-1", "inf"])
def test_a_late_window_without_measure_is_a_wrong_argument(
    directory: RunDirectory, late_window: str
) -> None:
    arguments = ["reconcile", str(directory.path), "--late-window", late_window]
    assert main(arguments) == 64
