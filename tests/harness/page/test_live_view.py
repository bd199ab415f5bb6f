"""A master's page shows what its workers have seen, and the same as the evidence in the end."""

import json
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.page.web import serving_locust
from tests.harness.shop_server import Shop

pytestmark = pytest.mark.slow


def _live(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/chaos/live", timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def _live_when(url: str, is_so: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    give_up_at = time.monotonic() + 60
    while True:
        found = _live(url)
        if found["run"] is not None and found["orders"] is not None and is_so(found):
            return found
        assert time.monotonic() < give_up_at, f"it never came to this: {found}"
        time.sleep(0.1)


def test_the_master_shows_what_its_workers_see(shop: Shop, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with serving_locust(
        *(shop.url, "--processes", "2", "--autostart", "-t", "60s"),
        *("--run-dir", str(tmp_path / "run")),
        cwd=tmp_path,
        LOCUST_MASTER_BIND_PORT=port,
        LOCUST_MASTER_NODE_PORT=port,
    ) as url:
        during = _live_when(url, lambda live: live["orders"]["acknowledged"])
        assert during["can"] == {"inject": False, "stop": False}
        urllib.request.urlopen(urllib.request.Request(f"{url}/stop", method="POST")).close()
        after = _live_when(url, lambda live: live["run"]["state"] == "over")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text("utf-8"))
    orders = after["orders"]
    assert orders["total"] == summary["attempts"]["total"] > 0
    assert orders["acknowledged"] == summary["attempts"]["acknowledged"]
    assert orders["causes"] == summary["indeterminate_by_cause"]
    assert orders["open"] == 0
    lines = (tmp_path / "run" / "requests.csv").read_text("utf-8").splitlines()
    assert sum(each["requests"] for each in after["seconds"]) == len(lines) - 1
