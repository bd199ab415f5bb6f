"""Setting the undisputed aside on Spark, in local mode: the same bytes as in DuckDB, and how long.

Random small histories, and two million attempts of which one in ten is refused or was tried again.
PySpark is installed into build/spark (once, 460 MB); Java 17 has to be there.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from analysis.closing.close import add_parquet
from analysis.evidence.records import Outcome
from tests.analysis.bulk.test_set_aside import CHANGES, History, stored
from tests.analysis.histories import SETTLED
from tests.bench.judging import MILLION, ROOT, write_run
from tests.bench.measurement import Measurement, median
from tests.bench.stage import Stage

LOCK = ROOT / "requirements-spark.lock"
PACKAGES = ROOT / "build" / "spark"
# As many parts as two cores work off at once: Spark's own 200 are for clusters.
SETTINGS = "spark.sql.shuffle.partitions 8\nspark.driver.memory 3g\n"
HISTORIES = 12


def measure(_stage: Stage) -> list[Measurement]:
    """Judge all runs both ways; a byte that differs is an error."""
    if shutil.which("java") is None:
        sys.exit("bench: Spark needs Java 17 (on Debian: apt-get install default-jre-headless)")
    _install()
    with tempfile.TemporaryDirectory(prefix="chaos-shop-spark-") as path:
        folder = Path(path)
        (folder / "spark-defaults.conf").write_text(SETTINGS, encoding="utf-8")
        environment = {
            **os.environ,
            "SPARK_CONF_DIR": str(folder),
            "PYTHONPATH": f"{ROOT}:{PACKAGES}",
        }
        compared = 0
        for number in range(HISTORIES):
            run = _history(folder / f"run {number}", number)
            compared += _alike(run, environment) is not None
        assert compared > HISTORIES / 2
        run = write_run(folder / "large", 2 * MILLION, is_odd=True, as_parquet=True)
        took = _alike(run, environment)
        assert took
    return [
        median("2,000,000 attempts: DuckDB", [took[0]], "s"),
        median("Spark, its start included", [took[1]], "s"),
    ]


def _install() -> None:
    installed = PACKAGES / "installed.lock"
    if installed.exists() and installed.read_bytes() == LOCK.read_bytes():
        return
    print("bench: installing PySpark into build/spark (once)", flush=True)
    shutil.rmtree(PACKAGES, ignore_errors=True)
    words = ["--quiet", "--require-hashes", "--requirement", str(LOCK), "--target", str(PACKAGES)]
    subprocess.run([sys.executable, "-m", "pip", "install", *words], check=True)
    shutil.copy(LOCK, installed)


def _history(folder: Path, seed: int) -> Path:
    """The evidence of a few orders, with some things that went wrong."""
    folder.mkdir()
    chance = random.Random(seed)
    history = History(chance)
    for outcome, most in (("acknowledged", 9), ("indeterminate", 9), ("rejected", 3)):
        for _ in range(chance.randint(1, most)):
            has_row = outcome == "acknowledged" or (outcome != "rejected" and chance.random() < 0.5)
            history.order(Outcome(outcome), has_row=has_row)
    for name in chance.sample(sorted(CHANGES), 2):
        CHANGES[name](chance, history)
    directory = stored(history, str(folder), settle=SETTLED.as_json())
    add_parquet(directory, every_table=True)
    return folder


def _alike(run: Path, environment: Mapping[str, str]) -> tuple[float, float] | None:
    """Seconds that judging took in DuckDB and on Spark; AssertionError if a byte differs.

    None where nothing can be set aside, of which Spark says so.
    """
    found, took = [], []
    for words in ((), ("--engine", "spark")):
        began = time.monotonic()
        command = [sys.executable, "-m", "analysis", "reconcile", str(run), "--no-report", *words]
        done = subprocess.run(
            command, cwd=ROOT, env=dict(environment), capture_output=True, check=False
        )
        took.append(time.monotonic() - began)
        files = [run / "summary.json", run / "reconciliation.csv"]
        if b"nothing can be set aside" in done.stderr:
            return None
        assert all(each.exists() for each in files), done.stderr.decode()
        found.append([done.returncode, *(each.read_bytes() for each in files)])
        for each in files:
            each.unlink()
    assert found[0] == found[1], run
    return took[0], took[1]
