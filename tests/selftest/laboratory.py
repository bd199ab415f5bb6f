"""Runs a shop in a lab of its own under our shoppers, stops one of its servers, has it judged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.lab.processes import Guard, ProcessGroup
from infra.lab.raising import PrivateLab
from infra.launch import ROOT, Launch, lab_environment
from tests.selftest.cases import Case

FAULT = "one of two servers is stopped"
FAST = {
    "LAB_PROFILE": "fast",
    "USERS": "24",
    "SPAWN_RATE": "24",
    "RUN_TIME": "16s",
}
ARGUMENTS = "--fis-at 5s --connect-timeout 1 --total-timeout 2 --stop-timeout 4s --poll-every 0.5"
# What of the environment would make it another experiment; the latter are of the Makefile.
OURS = ("AWS_", "CHAOS_", "DATABASE_", "LAB_", "LOCUST_", "SHOP_")
MAKES = {"EXPERIMENT", "TARGET", "WORKERS", "HOST"}
RUN_LIMIT_S = 120.0
JUDGE_LIMIT_S = 60.0
# Of a run that was judged: held, broken, undecided.
VERDICT_CODES = (0, 1, 2)


class RunFailed(Exception):
    """The experiment did not come to a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summaries:
    """One run's evidence, judged as it is and as if the table had no key columns."""

    as_found: dict[str, Any]
    without_keys: dict[str, Any]


class Laboratory:
    """Any number of experiments at once, each with a lab, a Locust and a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = Guard()
        self._lock = threading.Lock()
        self._running: set[ProcessGroup] = set()

    def close(self) -> None:
        """End what is running."""
        with self._lock:
            for each in self._running:
                each.send_all(9)
        self._guard.close()

    def experiment(self, case: Case) -> Summaries:
        """Run one to its end, and judge it with and without keys. Raises RunFailed and LabError."""
        run = self._folder / _file_name(case)
        shutil.rmtree(run, ignore_errors=True)
        run.parent.mkdir(parents=True, exist_ok=True)
        environment = _environment(case)
        lab = PrivateLab(environment, progress=lambda _: None)
        try:
            inside = environment | lab_environment(lab.state) | {"RUN_DIR": str(run)}
            command = Launch.from_environment(inside, is_web=False).command(lab.state.host)
            self._complete(command, inside, log=run.with_suffix(".log"))
        finally:
            lab.close()
        return Summaries(as_found=_summary(run), without_keys=_judged_without_keys(run))

    def _complete(self, command: list[str], environment: Mapping[str, str], *, log: Path) -> None:
        log.unlink(missing_ok=True)
        locust = ProcessGroup(
            command, guard=self._guard, log=log, environment=environment, folder=ROOT
        )
        with self._lock:
            self._running.add(locust)
        try:
            _wait(locust)
        finally:
            with self._lock:
                self._running.discard(locust)
            locust.kill()


def _wait(locust: ProcessGroup) -> None:
    deadline = time.monotonic() + RUN_LIMIT_S
    while locust.is_alive():
        if time.monotonic() > deadline:
            raise RunFailed(f"no end after {RUN_LIMIT_S:g} s; see {locust.log}")
        time.sleep(0.1)


def _judged_without_keys(run: Path) -> dict[str, Any]:
    copy = run.with_name(f"{run.name}-without-keys")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("ledger"))
    command = [sys.executable, "-m", "analysis", "reconcile", str(copy), "--method", "inferred"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=JUDGE_LIMIT_S
    )
    if done.returncode not in VERDICT_CODES:
        raise RunFailed(f"reconcile --method inferred: {done.stderr.strip()}")
    return _summary(copy)


def _summary(run: Path) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = json.loads((run / "summary.json").read_text("utf-8"))
    except FileNotFoundError:
        raise RunFailed(f"it was not judged; see {run.with_suffix('.log')}") from None
    return loaded


def _environment(case: Case) -> dict[str, str]:
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OURS) and name not in MAKES
    }
    return {
        **outside,
        **FAST,
        "LAB_SHOP_APP": case.application,
        "LOCUST_ARGS": f"{ARGUMENTS} {case.arguments}",
        **case.variables,
    }


def _file_name(case: Case) -> str:
    return case.name.replace(", ", "-").replace(" ", "-")
