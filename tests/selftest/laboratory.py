"""Runs a shop in a lab of its own under our shoppers, stops one of its servers, has it judged."""

import os
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from infra import ROOT
from infra.lab.processes.guard import Guard
from infra.lab.processes.process_group import ProcessGroup
from infra.lab.supervision.raising import PrivateLab
from infra.launch.lab_in_use import lab_environment
from infra.launch.request import Launch
from tests.selftest.cases import Case
from tests.selftest.judgements import Judgements, RunFailed, judge_both_ways

FAULT = "one of two servers is stopped"
FAST = {
    "LAB_PROFILE": "fast",
    "USERS": "24",
    "SPAWN_RATE": "24",
    "RUN_TIME": "16s",
}
# Some of the shops fail before any fault does, which would keep the hook from harming them further.
ARGUMENTS = (
    "--fis-at 5s --guard-off baseline --connect-timeout 1 --total-timeout 2 --stop-timeout 4s "
    "--poll-every 0.5"
)
# What of the environment would make it another experiment; the latter are of the Makefile.
OURS = ("AWS_", "CHAOS_", "DATABASE_", "LAB_", "LOCUST_", "SHOP_")
MAKES = {"EXPERIMENT", "TARGET", "WORKERS", "HOST"}
RUN_LIMIT_S = 120.0


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

    def experiment(self, case: Case) -> Judgements:
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
        return judge_both_ways(run)

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
