"""However a run ends, its experiment does; there is one at most, whatever is lost on the way."""

import itertools
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.fis.models import FISBackend
from moto.moto_api import state_manager

from tests.harness.cloud import Cloud, access
from tests.harness.gate import Answer, Call, Gate
from tests.harness.load import ROOT, Load, Locust, wait_until
from tests.harness.programs import run_module
from tests.harness.shop_server import Arrival, Shop, reply, serve

pytestmark = pytest.mark.slow

_numbers = itertools.count()
FAULT = ("--target", "lab", "--fis-template", "hit-one@1s", "--poll-every", "0.3", "-t", "60s")
OVER = {"completed", "stopped", "failed", "cancelled"}
START = ("POST", "/experiments")
BROKEN_LISTENER = """
from locust import events

@events.test_stopping.add_listener
def fail(**_):
    raise RuntimeError("mine")
"""


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with serve() as running:
        yield running


@pytest.fixture
def gate(open_gate: Gate, load: Load, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    # An experiment goes on until somebody stops it, and then it is over.
    state_manager.set_transition("fis::experiment", {"progression": "manual", "times": 100_000})
    real = FISBackend.stop_experiment

    def stop_experiment(self: FISBackend, *asked: Any, **named: Any) -> Any:
        answer = real(self, *asked, **named)
        for each in self.experiments.values():
            if each._status == "stopping":
                each.status = "stopped"
        return answer

    monkeypatch.setattr(FISBackend, "stop_experiment", stop_experiment)
    load.environment.update(access(open_gate.url))
    # A run's id is its folder's name, and no two tests may share one.
    load.folder = load.folder / "runs"
    load.folder.mkdir()
    yield open_gate
    open_gate.reset()
    state_manager.unset_transition("fis::experiment")


@pytest.fixture
def fis(cloud: Cloud, gate: Gate) -> Iterator[Any]:
    client = cloud.client("fis")
    yield client
    for each in client.list_experiments()["experiments"]:
        if each["state"]["status"] not in OVER:
            client.stop_experiment(id=each["id"])


def start(load: Load, shop: Shop, *arguments: str) -> Locust:
    """A run of its own id."""
    run = load.folder / f"run-{next(_numbers)}"
    locust = load.start(shop.url, *FAULT, "--run-dir", str(run), *arguments)
    locust.run = run
    return locust


def alive(fis: Any, run_id: str) -> list[str]:
    """The experiments of a run that are on."""
    return [
        each["id"]
        for each in fis.list_experiments()["experiments"]
        if each["tags"].get("ChaosRun") == run_id and each["state"]["status"] not in OVER
    ]


def of_run(fis: Any, run_id: str) -> list[str]:
    found = fis.list_experiments()["experiments"]
    return [each["id"] for each in found if each["tags"].get("ChaosRun") == run_id]


def fis_stop(gate: Gate, *arguments: str) -> str:
    code, output, errors = run_module(
        "locustfiles", "fis-stop", *arguments, environment=access(gate.url)
    )
    assert code == 0, errors
    return output


def begun(locust: Locust) -> bool:
    return (locust.run / "events.csv").exists() and bool(locust.event_names("fis"))


def _await_begin(locust: Locust) -> None:
    wait_until(lambda: begun(locust))


def test_what_a_dead_run_left_is_stopped_and_a_living_ones_is_let_be(
    load: Load, shop: Shop, gate: Gate, fis: Any
) -> None:
    broken = load.folder / "broken_listener.py"
    broken.write_text(BROKEN_LISTENER)
    files = ("-f", f"{ROOT / 'locustfiles'},{broken}")
    living, dying = (start(load, shop, "--guard-off", "experiments", *files) for _ in range(2))
    for each in (living, dying):
        _await_begin(each)
    assert "no experiment of a dead run" in fis_stop(gate)
    dying.kill_all()
    assert len(alive(fis, dying.run.name)) == 1
    assert "leftover stopped" in fis_stop(gate, "--run", str(dying.run))
    assert alive(fis, dying.run.name) == []
    assert dying.event_names("harness")[-2:] == ["fis_leftover_found", "fis_leftover_stopped"]
    assert living.process.poll() is None
    assert "fis_stop_requested" not in living.event_names()
    living.tell(signal.SIGTERM)
    living.wait()
    assert "RuntimeError: mine" in living.errors  # which leaves no experiment either
    assert len(of_run(fis, living.run.name)) == 1
    assert alive(fis, living.run.name) == []


def test_the_next_start_stops_what_a_run_left_that_was_killed_before_the_answer(
    load: Load, shop: Shop, gate: Gate, fis: Any
) -> None:
    killed = start(load, shop)

    def kill_it(call: Call) -> Answer:
        if (call.method, call.path) == START and killed.process.poll() is None:
            killed.kill_all()
        return None

    gate.before = kill_it
    wait_until(lambda: of_run(fis, killed.run.name))
    fault = killed.run_json()["fault"]
    assert fault["client_token"]
    assert fault["experiment_id"] is None
    finish = [sys.executable, "-m", "analysis", "finish", str(killed.run), "--no-report"]
    judged = subprocess.run(finish, cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert judged.returncode == 2
    (found,) = json.loads((killed.run / "summary.json").read_text())["faults"]
    assert found["happened"] is None
    assert "the record ends before its answer" in found["why_not"]
    after = start(load, shop)
    wait_until(lambda: begun(after))
    assert alive(fis, killed.run.name) == []
    assert "fis_leftover_stopped" in after.event_names("harness")
    after.stop_when(lambda: True)


def test_an_answer_that_comes_after_the_end_names_an_experiment_that_is_stopped(
    load: Load, shop: Shop, gate: Gate, fis: Any
) -> None:
    heard = threading.Event()

    def be_slow(call: Call) -> None:
        if (call.method, call.path) == START:
            heard.set()
            time.sleep(2)

    gate.after = be_slow
    locust = start(load, shop)
    assert heard.wait(60)
    locust.tell(signal.SIGTERM)
    locust.wait()
    assert len(of_run(fis, locust.run.name)) == 1
    assert alive(fis, locust.run.name) == []
    assert locust.run_json()["fault"]["state"] in OVER


def test_a_lost_answer_a_throttle_and_an_error_start_one_experiment_and_users_go_on(
    load: Load, shop: Shop, gate: Gate, fis: Any
) -> None:
    tries: list[float] = []

    def be_unkind(call: Call) -> Answer:
        if (call.method, call.path) != START:
            return None
        tries.append(time.time())
        kind = len(tries)
        if kind <= 2:
            time.sleep(6)  # longer than the hook waits, and then it is done all the same
            return None
        return {3: (429, "ThrottlingException"), 4: (500, "InternalServerException")}.get(kind)

    gate.before = be_unkind
    locust = start(load, shop)
    wait_until(lambda: begun(locust) and "pending" in locust.event_names("fis"))
    locust.stop_when(lambda: True)
    assert len(tries) >= 5
    assert len(of_run(fis, locust.run.name)) == 1
    bodies = [each.body for each in gate.calls if (each.method, each.path) == START]
    token = locust.run_json()["fault"]["client_token"].encode()
    assert all(token in body for body in bodies)
    assert "start_failed" in locust.event_names("fis")
    # Users order on while FIS says nothing: their longest pause is their own.
    began, ended = tries[0] * 1e6, tries[2] * 1e6
    sent = sorted(each.sent_at for each in locust.sent().values() if each.sent_at is not None)
    during = [began, *(at for at in sent if began < at < ended), ended]
    longest = max(later - earlier for earlier, later in itertools.pairwise(during))
    assert longest < (ended - began) / 4


def _has_tried(locust: Locust) -> bool:
    has_events = (locust.run / "events.csv").exists()
    return has_events and (begun(locust) or "fis_refused" in locust.event_names())


def test_two_masters_with_one_run_id_start_one_experiment(
    load: Load, shop: Shop, gate: Gate, fis: Any, tmp_path: Path
) -> None:
    masters = [start(load, shop, "--run-dir", str(tmp_path / each / "same-id")) for each in "ab"]
    runs = [
        Locust(each.process, tmp_path / name / "same-id")
        for name, each in zip("ab", masters, strict=True)
    ]
    for each in runs:
        each.stop_when(lambda: all(map(_has_tried, runs)))
    assert len(of_run(fis, "same-id")) == 1
    assert sorted("fis_refused" in each.event_names("harness") for each in runs) == [False, True]
    (why,) = (
        row["detail"] for each in runs for row in each.events() if row["event"] == "fis_refused"
    )
    assert "was started under this run's id" in why


def test_a_condition_ends_the_experiment_and_the_run_which_is_judged(
    load: Load, shop: Shop, gate: Gate, fis: Any
) -> None:
    def fail(connection: Any, arrival: Arrival) -> bool:
        if not of_run(fis, locust.run.name):
            return False
        connection.sendall(reply("500 Internal Server Error", b"{}"))
        return True

    shop.misbehave = shop.misbehave_at_reads = fail
    try:
        locust = start(load, shop, "--abort-if", "error_rate > 50% for 2s; p95 > 50s")
        code = locust.wait()
    finally:
        shop.misbehave = shop.misbehave_at_reads = lambda _socket, _arrival: False
    assert code == 2  # there is no database to judge by, and the experiment stayed pending
    (found,) = json.loads((locust.run / "summary.json").read_text())["faults"]
    # moto gives actions of a pending experiment a start as they are stopped: nobody saw them act.
    assert (found["happened"], found["started_at"]) == (None, None)
    assert locust.run_json()["interrupted"] is True
    at = {row["event"]: row["at"] for row in reversed(locust.events())}
    assert at["run_aborted"] <= at["fis_stop_requested"] <= at["users_stopped"]
    print(f"aborted {at['run_aborted']}, stop asked {at['fis_stop_requested']}")
    (why,) = (row["detail"] for row in locust.events() if row["event"] == "run_aborted")
    assert why.startswith("error_rate > 50% for 2s: it was ")
    assert alive(fis, locust.run.name) == []
    assert locust.run_json()["fault"]["state"] == "stopped"
