"""`python -m tests.bench [NAME ...]`: runs the benchmarks, shows and keeps what they found.

A benchmark is a module with `measure(stage)`, listed below.
"""

import sys
import tempfile
from pathlib import Path

from infra.lab.processes.guard import Guard
from tests.bench import (
    closing,
    hung_database,
    inferred,
    judging,
    ledger,
    orders,
    page,
    report,
    spark,
    streaming,
    workers,
)
from tests.bench.measurement import Measurement, show_measurements, write_measurements
from tests.bench.stage import Stage

BENCHMARKS = {
    "orders": orders,
    "hung_database": hung_database,
    "closing": closing,
    "inferred": inferred,
    "judging": judging,
    "ledger": ledger,
    "report": report,
    "workers": workers,
    "page": page,
    "streaming": streaming,
    "spark": spark,
}
KEPT_IN = Path("build/bench.json")


def main(names: list[str]) -> None:
    """Run those named, or all."""
    if wrong := set(names) - set(BENCHMARKS):
        sys.exit(f"bench: no {', '.join(sorted(wrong))}: choose from {', '.join(BENCHMARKS)}")
    found: list[Measurement] = []
    try:
        for name in names or BENCHMARKS:
            print(f"bench: {name} ...", flush=True)
            found += _run(name)
    finally:  # one that fails does not take the others' numbers along
        show_measurements(found)
        write_measurements(found, KEPT_IN)
        print(f"bench: kept in {KEPT_IN}")


def _run(name: str) -> list[Measurement]:
    with tempfile.TemporaryDirectory(prefix="chaos-shop-bench-") as path, Guard() as guard:
        folder = Path(path)
        folder.chmod(0o755)  # root's PostgreSQL runs as another user
        stage = Stage(folder, guard)
        try:
            found: list[Measurement] = BENCHMARKS[name].measure(stage)
            return found
        finally:
            stage.close()


main(sys.argv[1:])
