"""The harder faults, as whole experiments: what becomes of orders, and that it is judged right."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.e2e.test_experiment import Evidence, chaos_load
from tests.liveness import is_alive

pytestmark = [pytest.mark.lab, pytest.mark.slow]

FAST = {
    "LAB_PROFILE": "fast",
    "LAB_SHOP_WORKERS": "2",
    "LOCUST_ARGS": "--fis-at 4s --connect-timeout 1 --total-timeout 2 --stop-timeout 4s "
    "--poll-every 1",
    "USERS": "12",
    "SPAWN_RATE": "12",
    "RUN_TIME": "5m",  # each is ended before
}
RUNS = {
    # The second fault comes when the first has healed, and no server is replaced in between.
    "cut, then power": {
        "EXPERIMENT": "cut-one-zone",
        "LAB_UNHEALTHY_LIMIT_S": "5",
        "USERS": "20",
        "SPAWN_RATE": "20",
        "LOCUST_ARGS": f"{FAST['LOCUST_ARGS']} --guard-off baseline "
        "--fis-template=cut-one-zone@4s,power-off-one-server@16s",
    },
    "failover": {"EXPERIMENT": "database-failover"},
    "failover without a disk": {
        "EXPERIMENT": "database-failover",
        "LAB_SYNCHRONOUS_COMMIT": "off",
        # Late, so that fewer orders follow than were lost: ids are given out a second time, and
        # an order whose id is another's by then is `lost` like the others.
        "LOCUST_ARGS": FAST["LOCUST_ARGS"].replace("--fis-at 4s", "--fis-at 12s"),
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Evidence):
    """A run directory, read; what was printed, and the processes that there were in its middle."""

    printed: str
    processes: list[psutil.Process]


def is_over(evidence: Evidence) -> bool:
    """Whether the fault is, and what it leads to has been seen."""
    return (evidence.path / "events.csv").exists() and "completed" in evidence.events("fis")


def both_are_over(evidence: Evidence) -> bool:
    """Whether the second has ended, too, and its server is being replaced."""
    return (
        is_over(evidence)
        and evidence.events("fis").count("completed") == 2
        and any(each["detail"].startswith("Terminating") for each in evidence.table("events"))
    )


class SellsAgain:
    """Whether customers have been told of orders since the fault was over."""

    def __init__(self) -> None:
        self._before: int | None = None

    def __call__(self, evidence: Evidence) -> bool:
        if not is_over(evidence):
            return False
        if self._before is None:
            self._before = evidence.told()
        return evidence.told() > self._before + 5


# What has to have been seen before a run is ended, and how it then is: each in its own way.
ENDINGS: dict[str, tuple[Callable[[Evidence], bool], str]] = {
    "cut, then power": (both_are_over, "ctrl-c"),
    "failover": (SellsAgain(), "kill -9"),
    "failover without a disk": (SellsAgain(), "sigterm"),
}
LIMIT_S = 120.0


def end(process: subprocess.Popen[str], how: str) -> None:
    if how == "ctrl-c":
        os.killpg(process.pid, signal.SIGINT)
    elif how == "sigterm":
        process.send_signal(signal.SIGTERM)
    else:
        children = psutil.Process(process.pid).children(recursive=True)
        (locust,) = [each for each in children if "locust" in each.cmdline()]
        locust.kill()


def ended_in_time(started: dict[str, subprocess.Popen[str]], folder: Path) -> dict[str, Run]:
    processes: dict[str, list[psutil.Process]] = {}
    deadline = time.monotonic() + LIMIT_S
    while len(processes) < len(started):
        for name, process in started.items():
            has_happened, how = ENDINGS[name]
            if name in processes or not has_happened(Evidence(path=folder / name)):
                assert name in processes or process.poll() is None, process.communicate()[0]
                continue
            processes[name] = psutil.Process(process.pid).children(recursive=True)
            end(process, how)
        assert time.monotonic() < deadline, f"nothing to end {started.keys() - processes}"
        time.sleep(0.2)
    found = {}
    for name, process in started.items():
        printed, _ = process.communicate(timeout=LIMIT_S)
        print(name, printed)
        found[name] = Run(path=folder / name, printed=printed, processes=processes[name])
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Each in a lab of its own, and ended when what it is for has happened."""
    folder = tmp_path_factory.mktemp("faults")
    found: dict[str, Run] = {}
    for names in (("cut, then power",), ("failover", "failover without a disk")):
        started = {name: chaos_load(folder / name, **(FAST | RUNS[name])) for name in names}
        try:
            found |= ended_in_time(started, folder)
        finally:
            for process in started.values():
                process.terminate()
    return found


def faults_of(name: str) -> int:
    return 1 + name.count("then")


@pytest.mark.parametrize("name", ["cut, then power", "failover"])
def test_no_acknowledged_order_is_lost(runs: dict[str, Run], name: str) -> None:
    summary = runs[name].summary
    assert summary["verdict"] == "held", runs[name].printed
    assert summary["orders"]["lost"] == 0
    assert summary["orders"]["rows"] > 0
    assert [each["happened"] for each in summary["faults"]] == [True] * faults_of(name)
    assert summary["fault"]["started_at"]


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_was_ended_is_judged_and_marked(runs: dict[str, Run], name: str) -> None:
    run = runs[name]
    assert run.run["interrupted"] is True, run.printed
    assert run.run["ended_at"] >= max(each["sent_at"] for each in run.table("attempts"))
    orders = run.summary["orders"]
    assert orders["unexpected"] == 0
    assert orders["confirmed"] + orders["committed"] == orders["rows"]
    open_ones = [each for each in run.table("attempts") if each["error"] == "in_flight_at_stop"]
    assert {each["outcome"] for each in open_ones} <= {"indeterminate"}


@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_left_running_of_a_run_that_was_ended(runs: dict[str, Run], name: str) -> None:
    processes = runs[name].processes
    assert len(processes) > 5
    deadline = time.monotonic() + 30
    while [each for each in processes if is_alive(each)]:
        assert time.monotonic() < deadline, [each for each in processes if is_alive(each)]
        time.sleep(0.1)


@pytest.mark.parametrize("name", RUNS)
def test_the_experiment_comes_to_its_end(runs: dict[str, Run], name: str) -> None:
    assert runs[name].events("fis").count("completed") == faults_of(name)
    assert "failed" not in runs[name].events("fis")


def test_what_was_frozen_in_a_zone_commits_after_its_customer_gave_up(runs: dict[str, Run]) -> None:
    run = runs["cut, then power"]
    assert run.summary["orders"]["committed"] > 0
    gave_up = {
        each["attempt_id"]: each["ended_at"]
        for each in run.table("attempts")
        if each["error"] == "timeout"
    }
    late = [
        each
        for each in run.table("orders")
        if each["committed_at"] > gave_up.get(each["attempt_id"], "9999")
    ]
    assert late


def test_a_server_without_power_is_silent_and_is_replaced(runs: dict[str, Run]) -> None:
    run = runs["cut, then power"]
    _, off = run.summary["faults"]
    causes = Counter(
        each["http_status"] or each["error"]
        for each in run.table("attempts")
        if each["sent_at"] > off["started_at"]
    )
    assert causes["timeout"] > 0
    assert causes["502"] == 0  # it never said that it was going
    assert "unhealthy" in run.events("elb", off["targets"][0])
    assert any(
        each["detail"].startswith("Terminating")
        for each in run.table("events")
        if each["source"] == "asg"
    )


def test_a_failover_is_felt_as_503_and_costs_no_server(runs: dict[str, Run]) -> None:
    run = runs["failover"]
    causes = Counter(each["http_status"] or each["error"] for each in run.table("attempts"))
    assert causes["503"] > 0
    assert causes["201"] > 0
    after = run.summary["fault"]["ended_at"]
    assert any(
        each["sent_at"] > after for each in run.table("attempts") if each["http_status"] == "201"
    )


def test_orders_that_were_never_on_disk_are_found_to_be_lost(runs: dict[str, Run]) -> None:
    run = runs["failover without a disk"]
    assert run.summary["verdict"] == "broken", run.printed
    assert run.summary["exit_code"] == 1
    assert run.summary["orders"]["lost"] > 0
    verdicts = {each["id"]: each["verdict"] for each in run.summary["invariants"]}
    assert verdicts["durability"] == "broken"
