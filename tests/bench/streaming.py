"""A worker's ledger on its way to the master, by Locust's own wire: time, memory at both ends."""

import filecmp
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from infra.lab.processes.ports import free_port
from tests.bench.measurement import Measurement, median
from tests.bench.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
MEGABYTES = 200
REPETITIONS = 3
LIMIT_S = 120
MOST_MB = 150.0


def measure(stage: Stage) -> list[Measurement]:
    """Seconds until the master has it all, and what each end ever had in memory."""
    name = f"streaming {MEGABYTES} MB"
    with tempfile.TemporaryDirectory(prefix="chaos-shop-bench-") as path:
        ledger = Path(path) / "ledger.jsonl"
        with ledger.open("wb") as file:
            for _ in range(MEGABYTES):
                file.write(os.urandom(10**6))
        found = [_stream(ledger, Path(path) / f"copy-{n}") for n in range(REPETITIONS)]
    ends = [
        median(f"{name}: peak of the {end}", [each[end]["peak_mb"] for each in found], "MB")
        for end in ("worker", "master")
    ]
    return [
        median(f"{name}: time", [each["worker"]["took_s"] for each in found], "s"),
        *(replace(each, goal=f"<= {MOST_MB:g}", holds=each.high <= MOST_MB) for each in ends),
    ]


def _stream(ledger: Path, copy: Path) -> dict[str, dict[str, float]]:
    port = str(free_port())
    ends = {
        end: subprocess.Popen(
            [sys.executable, "-m", "tests.bench.ledger_wire", end, port, str(file)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for end, file in (("master", copy), ("worker", ledger))
    }
    try:
        told = {end: process.communicate(timeout=LIMIT_S)[0] for end, process in ends.items()}
    finally:
        for process in ends.values():
            process.kill()
    if not filecmp.cmp(ledger, copy, shallow=False):
        raise RuntimeError("the copy is not the ledger")
    copy.unlink()
    return {end: json.loads(each) for end, each in told.items()}
