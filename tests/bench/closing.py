"""Closing a large run: ledger lines read per second, and memory that does not grow with the run.

BENCH_REQUESTS is the size of the large run, 2 million by default; the small one is a quarter.
Each size is closed in a process of its own, from the ledgers of four Locust processes.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from analysis.evidence.run_directory import RunDirectory
from tests.analysis.close_ledgers import Cost, in_a_process
from tests.analysis.ledgers import START, write_ledger
from tests.bench.measurement import Measurement, median
from tests.bench.stage import Stage

REQUESTS = int(os.environ.get("BENCH_REQUESTS", "2_000_000"))
PROCESSES = 4
REPETITIONS = 3
TIMEOUT_S = 3600
MOST_MB = 1500.0
MOST_GROWTH = 1.1


def measure(stage: Stage) -> list[Measurement]:
    """Speed and peak of both sizes, and of the large one's way into Parquet."""
    with tempfile.TemporaryDirectory(prefix="chaos-shop-bench-") as path:
        folder = Path(path)
        small = [_close(folder, REQUESTS // 4)[1] for _ in range(REPETITIONS)]
        run, large = _close(folder, REQUESTS)
        parquet = in_a_process("parquet", run, timeout_s=TIMEOUT_S)
    name = f"closing {REQUESTS:,} requests"
    growth = [large.peak_mb / each.peak_mb for each in small]
    per_cpu_s = [each.lines / each.cpu_s for each in (*small, large)]
    return [
        median(f"{name}: time", [large.wall_s], "s"),
        median(f"{name}: ledger lines per second of a core", per_cpu_s, "lines/s"),
        _at_most(median(f"{name}: peak", [large.peak_mb], "MB"), MOST_MB),
        _at_most(median(f"{name}: peak, to that of a quarter", growth, "times"), MOST_GROWTH),
        median(f"{name}: Parquet too, time", [parquet.wall_s], "s"),
        _at_most(median(f"{name}: Parquet too, peak", [parquet.peak_mb], "MB"), MOST_MB),
    ]


def _close(folder: Path, requests: int) -> tuple[RunDirectory, Cost]:
    run = RunDirectory.create(root=folder, experiment="bench", at=START)
    run.update_run(started_at="2026-11-23T12:00:00Z", ended_at=None)
    for number in range(PROCESSES):
        write_ledger(run.ledger_file(f"p{number}"), requests=requests // PROCESSES, seed=number)
    return run, in_a_process("close", run, timeout_s=TIMEOUT_S)


def _at_most(found: Measurement, goal: float) -> Measurement:
    return replace(found, goal=f"<= {goal:g}", holds=found.value <= goal)
