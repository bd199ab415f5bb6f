"""Runs that are started and stopped in Locust's web UI, by people who do not wait."""

from __future__ import annotations

import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.lab.processes import free_port
from tests.locustfiles.load import ROOT, Load, wait_until
from tests.locustfiles.shop_server import Shop, serve

pytestmark = pytest.mark.slow

# Somebody else's listener keeps users away for a while, after ours has begun a run.
KEEPS_USERS_AWAY = """
import gevent
from locust import events

@events.test_start.add_listener
def wait(environment, **_):
    gevent.sleep(60 if environment.runner.target_user_count == 30 else 0)
"""


class WebUI:
    """What a browser does at a Locust whose runs go below its folder."""

    def __init__(self, load: Load, shop: Shop) -> None:
        self.shop = shop
        self._port = free_port()
        self._folder = load.folder
        slow = load.folder / "slow.py"
        slow.write_text(KEEPS_USERS_AWAY)
        files = f"{ROOT / 'locustfiles'},{slow}"
        load.serve("-H", shop.url, "-f", files, "--web-port", str(self._port), "-s", "20")
        wait_until(self._is_there, within_s=30)

    def start(self, users: int) -> None:
        self._ask("/swarm", {"user_count": str(users), "spawn_rate": "100"})

    def stop(self) -> None:
        """Returns when the run is closed and judged."""
        self._ask("/stop", {})

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

    def _ask(self, path: str, form: dict[str, str] | None) -> None:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        url = f"http://127.0.0.1:{self._port}{path}"
        with urllib.request.urlopen(url, data=data, timeout=60) as reply:
            reply.read()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    load = Load(tmp_path_factory.mktemp("web"))
    with serve() as shop:
        yield WebUI(load, shop)
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


def _in_the_background(do: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=do)
    thread.start()
    return thread


def _facts(run: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((run / "run.json").read_text())
    return content


def _lines(run: Path) -> list[list[object]]:
    """Of its one ledger, which may be being written."""
    (ledger,) = run.glob("ledger/*.jsonl")
    whole = ledger.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def _last_line(run: Path) -> list[object]:
    return _lines(run)[-1]


def _attempts(run: Path) -> list[object]:
    if not list(run.glob("ledger/*.jsonl")):
        return []
    return [line[1] for line in _lines(run) if line[0] == "sent"]
