"""`python -m tests.analysis.close_ledgers close|parquet RUN_DIR`: does it, and says what it took.

In a process of its own, since the peak of a process' memory never falls.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from analysis.closing.close import add_parquet, close_evidence
from analysis.evidence.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a closing took."""

    lines: int
    wall_s: float
    cpu_s: float
    peak_mb: float


def in_a_process(what: str, directory: RunDirectory, *, timeout_s: float = 120) -> Cost:
    """Close a run's evidence, or store it as Parquet, in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.analysis.close_ledgers", what, str(directory.path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    return Cost(**json.loads(done.stdout))


def peak_mb() -> float:
    """The most memory that this program ever had; getrusage would count its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]
    return int(kilobytes) / 1024


def main(what: str, run: str) -> None:
    directory = RunDirectory(run)
    began, began_cpu = time.perf_counter(), time.process_time()
    if what == "close":
        close_evidence(directory, limit_s=1)
    else:
        add_parquet(directory)
    cost = {
        "lines": directory.read_run()["ledger"]["lines"],
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - began_cpu,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    main(*sys.argv[1:])
