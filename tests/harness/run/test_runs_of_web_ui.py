"""Runs that are started and stopped in Locust's web UI, by people who do not wait."""

import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.lab.processes.ports import free_port
from tests.harness.ledgers import recorded
from tests.harness.load import ROOT, Load, wait_until
from tests.harness.shop_server import Shop, serve

pytestmark = pytest.mark.slow

# Somebody else's listener keeps users away for a while, after ours has begun a run.
KEEPS_USERS_AWAY = """
import gevent
from locust import events

@events.test_start.add_listener
def wait(environment, **_):
    gevent.sleep(60 if environment.runner.target_user_count == 30 else 0)
"""


# Longer than the run time, once a run has its directory and before its users may come.
SLOW_TO_START = """
from pathlib import Path
import gevent
from harness.run.run import Run

prepare = Run.prepare

def prepare_slowly(self):
    gevent.sleep(3)
    Path("slept").touch()
    while not Path("go").exists():
        gevent.sleep(0.05)
    prepare(self)

Run.prepare = prepare_slowly
"""
FAILS_ONCE = """
from harness.run.master import MasterProcess

failures = ["the first run fails"]
note_users = MasterProcess.on_spawning_complete

def on_spawning_complete(self, **facts):
    note_users(self, **facts)
    if failures:
        self.fail(failures.pop(), 70)

MasterProcess.on_spawning_complete = on_spawning_complete
"""


class WebUI:
    """What a browser does at a Locust whose runs go below its folder."""

    def __init__(self, load: Load, shop: Shop, listener: str, *arguments: str) -> None:
        self.shop = shop
        self._port = free_port()
        self._folder = load.folder
        file = load.folder / "listener.py"
        file.write_text(listener)
        files = f"{ROOT / 'locustfiles'},{file}"
        common = ("-H", shop.url, "-f", files, "--web-port", str(self._port))
        load.serve(*common, *arguments)
        wait_until(self._is_there, within_s=30)

    def start(self, users: int, *, run_time: str = "") -> None:
        form = {"user_count": str(users), "spawn_rate": "100", "run_time": run_time}
        self._ask("/swarm", form)

    def live(self) -> dict[str, Any]:
        """What the Chaos page is told of the newest run."""
        run: dict[str, Any] = self._ask("/chaos/live", None)["run"]
        return run

    def stop(self) -> None:
        """Returns when the run is closed and judged."""
        self._ask("/stop", {})

    def workers(self) -> int:
        """How many wait for a start."""
        told = self._ask("/stats/requests", None).get("workers", [])
        return sum(each["state"] == "ready" for each in told)

    def state(self) -> str:
        return str(self._ask("/stats/requests", None)["state"])

    def runs(self) -> list[Path]:
        """The runs' directories, the oldest first."""
        found = {each.parent for each in self._folder.glob("runs/*/run.json")}
        return sorted(each for each in found if not each.is_symlink())

    def _is_there(self) -> bool:
        try:
            self._ask("/stats/requests", None)
        except OSError:
            return False
        return True

    def _ask(self, path: str, form: dict[str, str] | None) -> dict[str, Any]:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        url = f"http://127.0.0.1:{self._port}{path}"
        with urllib.request.urlopen(url, data=data, timeout=60) as reply:
            content: dict[str, Any] = json.loads(reply.read())
            return content


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    load = Load(tmp_path_factory.mktemp("web"))
    with serve() as shop:
        yield WebUI(load, shop, KEEPS_USERS_AWAY, "-s", "20")
        load.end()


def test_start_pressed_again_before_users_came_leaves_one_run(web: WebUI) -> None:
    web.start(30)
    wait_until(lambda: len(web.runs()) == 1 and list(web.runs()[0].glob("ledger/*")))
    web.start(40)
    wait_until(lambda: len(web.shop.attempt_ids()) > 3)
    first, second = web.runs()
    assert _facts(first)["ended_at"]  # called off, and nothing of it is left that could act
    assert _last_line(first)[0] == "closed"
    web.stop()
    assert (second / "summary.json").exists()
    assert not (first / "summary.json").exists()
    assert _attempts(first) == []
    assert set(_attempts(second)) == set(web.shop.attempt_ids())


def test_start_pressed_while_users_stop_begins_when_they_have(web: WebUI) -> None:
    others = set(web.shop.attempt_ids())
    earlier = set(web.runs())
    web.shop.latency_s = 1.5
    web.start(40)
    wait_until(lambda: len(web.shop.attempt_ids()) > len(others) + 3)
    (first,) = set(web.runs()) - earlier
    before = set(web.shop.attempt_ids()) - others
    stopping = _in_the_background(web.stop)
    wait_until(lambda: "run_stopping" in (first / "events.csv").read_text())
    web.start(40)
    stopping.join()
    web.shop.latency_s = 0
    wait_until(lambda: len(set(web.runs()) - earlier) == 2)
    (second,) = set(web.runs()) - earlier - {first}
    wait_until(lambda: len(_attempts(second)) > 3)
    web.stop()
    assert before <= set(_attempts(first))
    assert not set(_attempts(first)) & set(_attempts(second))
    assert {*_attempts(first), *_attempts(second)} == set(web.shop.attempt_ids()) - others
    for run in (first, second):
        assert (run / "summary.json").exists()
        assert _last_line(run)[0] == "closed"
        assert "in_flight_at_stop" not in (run / "attempts.csv").read_text()


def test_run_time_of_the_form_counts_from_when_users_start(load: Load, shop: Shop) -> None:
    web = WebUI(load, shop, SLOW_TO_START)
    web.start(10, run_time="2s")
    wait_until((load.folder / "slept").exists)
    assert web.live()["elapsed_s"] == 0  # of a run that gets ready
    (load.folder / "go").touch()
    wait_until((web.runs()[0] / "summary.json").exists)
    assert shop.arrivals
    assert not _facts(web.runs()[0])["interrupted"]
    assert web.live()["run_time_s"] == 2
    assert 2 <= web.live()["elapsed_s"] < 60
    shop.arrivals.clear()
    web.start(10)  # the form's field is empty: a run without an end, whatever the last one had
    wait_until(lambda: shop.arrivals)
    assert web.live()["run_time_s"] is None
    web.stop()


def test_workers_of_a_run_that_failed_have_users_in_the_next(load: Load, shop: Shop) -> None:
    web = WebUI(load, shop, FAILS_ONCE, "--processes", "2")
    wait_until(lambda: web.workers() == 2)
    web.start(40)
    wait_until(lambda: len(web.runs()) == 1 and (web.runs()[0] / "summary.json").exists())
    before = set(shop.attempt_ids())
    wait_until(lambda: web.state() != "stopping" and web.workers() == 2)
    web.start(40)
    wait_until(lambda: len(shop.attempt_ids()) > len(before) + 5)
    web.stop()
    assert set(_attempts(web.runs()[1])) == set(shop.attempt_ids()) - before


def _in_the_background(do: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=do)
    thread.start()
    return thread


def _facts(run: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((run / "run.json").read_text())
    return content


def _lines(ledger: Path) -> list[list[Any]]:
    """Of a ledger that may be being written."""
    whole = recorded(ledger).decode().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def _last_line(run: Path) -> list[Any]:
    (ledger,) = run.glob("ledger/*.jsonl")
    return _lines(ledger)[-1]


def _attempts(run: Path) -> list[str]:
    return [name for each in run.glob("ledger/*.jsonl") for name in _sent(each)]


def _sent(ledger: Path) -> list[str]:
    return [line[1] for line in _lines(ledger) if line[0] == "sent"]
