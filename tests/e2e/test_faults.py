"""The harder faults, as whole experiments: what becomes of orders, and that it is judged right."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.test_experiment import Evidence

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
FAST = {
    "LAB_PROFILE": "fast",
    "LAB_SHOP_WORKERS": "2",
    "LOCUST_ARGS": "--fis-at 4s --connect-timeout 1 --total-timeout 2 --stop-timeout 4s "
    "--poll-every 0.5",
    "USERS": "16",
    "SPAWN_RATE": "16",
    "RUN_TIME": "20s",
}
RUNS = {
    "cut": {"EXPERIMENT": "cut-one-zone", "USERS": "32", "SPAWN_RATE": "32"},
    "power": {
        "EXPERIMENT": "power-off-one-server",
        "LOCUST_ARGS": f"{FAST['LOCUST_ARGS']} --arrival-rate 50",
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
    """A run directory, read, and what was printed."""

    printed: str


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """All four at once, each in a lab of its own."""
    folder = tmp_path_factory.mktemp("faults")
    paths = {name: folder / name.replace(" ", "-") for name in RUNS}
    started = {
        name: subprocess.Popen(
            ["make", "chaos-load"],
            cwd=ROOT,
            env={
                **os.environ,
                **FAST,
                **variables,
                "RUN_DIR": str(paths[name]),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for name, variables in RUNS.items()
    }
    finished = {}
    for name, process in started.items():
        printed, _ = process.communicate(timeout=200)
        print(name, printed)
        finished[name] = Run(path=paths[name], printed=printed)
    return finished


@pytest.mark.parametrize("name", ["cut", "power", "failover"])
def test_no_acknowledged_order_is_lost(runs: dict[str, Run], name: str) -> None:
    summary = runs[name].summary
    assert summary["verdict"] == "held", runs[name].printed
    assert summary["orders"]["lost"] == 0
    assert summary["orders"]["rows"] > 0
    assert summary["fault"]["started_at"]


@pytest.mark.parametrize("name", ["cut", "power", "failover"])
def test_the_experiment_comes_to_its_end(runs: dict[str, Run], name: str) -> None:
    assert "completed" in runs[name].events("fis")
    assert "failed" not in runs[name].events("fis")


def test_what_was_frozen_in_a_zone_commits_after_its_customer_gave_up(runs: dict[str, Run]) -> None:
    run = runs["cut"]
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
    run = runs["power"]
    causes = Counter(each["http_status"] or each["error"] for each in run.table("attempts"))
    assert causes["timeout"] > 0
    assert causes["502"] == 0  # it never said that it was going
    assert "unhealthy" in run.events("elb")
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
