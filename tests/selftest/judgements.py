"""What the analysis says of a finished run: of its evidence as it is, and with the keys hidden."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
JUDGE_LIMIT_S = 60.0
# Of a run that was judged: held, broken, undecided.
VERDICT_CODES = (0, 1, 2)
CERTAIN = {"committed", "absent"}


class RunFailed(Exception):
    """The experiment did not come to a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """One run's evidence, judged as it is and as if the table had no key columns.

    `contradicted` attempts are certain to be committed or absent without keys, and with them not.
    """

    as_found: dict[str, Any]
    without_keys: dict[str, Any]
    contradicted: int


def judge_both_ways(run: Path) -> Judgements:
    as_found = _summary(run)
    copy = _judged_without_keys(run)
    known = _verdicts(run)
    return Judgements(
        as_found=as_found,
        without_keys=_summary(copy),
        contradicted=sum(
            verdict in CERTAIN and known[attempt] != verdict
            for attempt, verdict in _verdicts(copy).items()
        ),
    )


def _verdicts(run: Path) -> dict[str, str]:
    with (run / "reconciliation.csv").open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return {each["attempt_id"]: each["verdict"] for each in rows if each["kind"] == "attempt"}


def _judged_without_keys(run: Path) -> Path:
    copy = run.with_name(f"{run.name}-without-keys")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("ledger"))
    command = [sys.executable, "-m", "analysis", "reconcile", str(copy), "--method", "inferred"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=JUDGE_LIMIT_S
    )
    if done.returncode not in VERDICT_CODES:
        raise RunFailed(f"reconcile --method inferred: {done.stderr.strip()}")
    return copy


def _summary(run: Path) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = json.loads((run / "summary.json").read_text("utf-8"))
    except FileNotFoundError:
        raise RunFailed(f"it was not judged; see {run.with_suffix('.log')}") from None
    return loaded
