"""What the ledger costs: requests per second with it and without, rows per second, bytes.

Without it nothing is recorded; the ids of an attempt are made all the same, since they are in its
headers. Beside that, all that our customers do is held against plain users of
Locust on the same errands (`plain_load.py`), who have no ledger, no total timeout and no ids.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.measurement import Measurement, median
from tests.bench.restless import (
    LEDGER_LOAD,
    PLAIN_LOAD,
    ROOT,
    quick_server,
    restless_load,
    wait_until,
)
from tests.bench.stage import Stage

Slices = list[dict[str, float]]

PAIRS = 480
BLOCKS = 12
GOAL = 0.97
REPETITIONS = 5


def measure(stage: Stage) -> list[Measurement]:
    """The ratios are those of short pairs in the middle of one load."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare, kept = _run_pairs(folder / "ledger", LEDGER_LOAD)
        plain, ours = _run_pairs(folder / "plain", PLAIN_LOAD)
        rows, sizes = zip(*(_write(folder / f"rows-{n}") for n in range(REPETITIONS)), strict=True)
    speed = _ratios(kept, bare, "per_second")
    return [
        _median("ledger: requests/s with it to without", speed, "times", at_least=GOAL),
        _median("ledger: the same by CPU time per request", _ratios(bare, kept, "cpu_us"), "times"),
        _median("ledger: without it", [each["per_second"] for each in bare], "requests/s"),
        _median("ledger: CPU time per request", [each["cpu_us"] for each in kept], "us"),
        _median(
            "ledger: our customers' requests/s to plain Locust's",
            _ratios(ours, plain, "per_second"),
            "times",
            at_least=GOAL,
        ),
        _median("ledger: the same by CPU time", _ratios(plain, ours, "cpu_us"), "times"),
        median("ledger: rows written", rows, "rows/s"),
        median("ledger: an attempt", sizes, "bytes"),
    ]


def _ratios(ones: Slices, others: Slices, what: str) -> list[float]:
    return [one[what] / other[what] for one, other in zip(ones, others, strict=True)]


def _median(
    name: str, values: Sequence[float], unit: str, *, at_least: float | None = None
) -> Measurement:
    """The median of blocks: what is lowest of a hundred short slices says nothing."""
    size = len(values) // BLOCKS
    blocks = [statistics.median(values[n * size : (n + 1) * size]) for n in range(BLOCKS)]
    return median(name, blocks, unit, at_least=at_least)


def _run_pairs(folder: Path, load: Path) -> tuple[Slices, Slices]:
    """The slices of a locustfile with its switch off, and those with it on."""
    folder.mkdir()
    result = folder / "result.json"
    asked = {"CHAOS_BENCH_RESULT": str(result), "CHAOS_BENCH_PAIRS": str(PAIRS)}
    with (
        quick_server() as server,
        restless_load(folder / "run", server.url, load=load, **asked),
    ):
        wait_until(result.exists)
    slices = json.loads(result.read_text())
    pairs = [
        sorted(pair, key=lambda each: each["is_on"])
        for pair in zip(slices[::2], slices[1::2], strict=True)
    ]
    return [off for off, _ in pairs], [on for _, on in pairs]


def _write(folder: Path) -> tuple[float, float]:
    """Rows per second, and bytes per attempt."""
    written = subprocess.run(
        [sys.executable, "-m", "tests.bench.ledger_rows", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    found = json.loads(written.stdout)
    return found["rows_per_second"], found["bytes_per_attempt"]
