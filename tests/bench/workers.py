"""Two Locust processes over one, on a machine of two cores, and whether a row is missing."""

import tempfile
from pathlib import Path

from analysis.evidence.errors import TornLine
from analysis.evidence.ledger.line_records import (
    AttemptEnded,
    AttemptSent,
    LedgerClosed,
    RequestDone,
    parse_line,
)
from infra.lab.processes.ports import free_port
from tests.bench.measurement import Measurement, median
from tests.bench.restless import quick_server, restless_load, wait_until
from tests.bench.stage import Stage

PAIRS = 3
SECONDS = 6
# Of these a run's beginning and end are left out: processes come and go one by one.
_LEFT_OUT_US = 1_500_000


def measure(stage: Stage) -> list[Measurement]:
    """Requests per second of both, in pairs, and what the server read that no ledger has."""
    speeds: dict[int, list[float]] = {1: [], 2: []}
    missing = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(PAIRS):
            for workers in (1, 2) if number % 2 == 0 else (2, 1):
                speed, lost = _run(Path(name) / f"{number}-{workers}" / "run", workers)
                speeds[workers].append(speed)
                missing.append(float(lost))
    ratios = [two / one for one, two in zip(speeds[1], speeds[2], strict=True)]
    return [
        median("workers: one process", speeds[1], "requests/s"),
        median("workers: two processes", speeds[2], "requests/s"),
        median("workers: two over one", ratios, "times"),
        Measurement(
            name="workers: rows missing, in all runs together",
            value=sum(missing),
            low=min(missing),
            high=max(missing),
            unit="rows",
            goal="0",
            holds=not any(missing),
        ),
    ]


def _run(run: Path, workers: int) -> tuple[float, int]:
    """Requests per second by the ledgers, and how many more or fewer the server has read."""
    port = str(free_port())
    several = ("--processes", str(workers), "--master-bind-host", "127.0.0.1")
    ports = ("--master-bind-port", port, "--master-port", port)
    arguments = (*several, *ports) if workers > 1 else ()
    with quick_server() as server:
        with restless_load(run, server.url, "-t", f"{SECONDS}s", *arguments):
            wait_until(lambda: _closed(run) == workers)
        return _account(run, server.close())


def _closed(run: Path) -> int:
    """How many ledgers have their last line."""
    found = 0
    for path in (run / "ledger").glob("*.jsonl"):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 100))
            lines = file.read().splitlines(keepends=True)
            found += bool(lines) and _is_last(lines[-1])
    return found


def _is_last(line: bytes) -> bool:
    try:
        return isinstance(parse_line(line), LedgerClosed)
    except TornLine:
        return False


def _account(run: Path, read: int) -> tuple[float, int]:
    sent = 0
    ended_at: list[int] = []
    for path in (run / "ledger").glob("*.jsonl"):
        with path.open("rb") as file:
            for line in file:
                record = parse_line(line)
                sent += isinstance(record, (AttemptSent, RequestDone))
                if isinstance(record, (AttemptEnded, RequestDone)) and record.ended_at:
                    ended_at.append(record.ended_at)
    first, last = min(ended_at) + _LEFT_OUT_US, max(ended_at) - _LEFT_OUT_US
    counted = sum(first <= each <= last for each in ended_at)
    return counted / (last - first) * 1e6, abs(read - sent)
