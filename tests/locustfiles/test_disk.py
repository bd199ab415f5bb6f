"""Real Locusts on a disk that hangs or fails: what their users do, and what people are told."""

import re
from pathlib import Path

import pytest

from analysis.records import parse_time
from locustfiles._errors import EXIT_OUR_FAULT
from tests.locustfiles.load import Load
from tests.locustfiles.shop_server import Shop

pytestmark = pytest.mark.slow

HANGING = """\
import os
from gevent.monkey import get_original
from locust import constant
from locustfiles import _disk_sync, shoppers

class Hasty(shoppers.Shopper):
    wait_time = constant(0.1)

def _hang(file):
    get_original("time", "sleep")(1.5)
    os.fsync(file)

_disk_sync._fsync = _hang
"""
FAILING = """\
import errno, os
from locustfiles import _disk_sync
from locustfiles.shoppers import Shopper

_disk_sync._fsync = lambda file: OSError(errno.EIO, os.strerror(errno.EIO))
"""


def _locustfile(folder: Path, content: str) -> str:
    path = folder / "disk.py"
    path.write_text(content)
    return str(path)


@pytest.mark.parametrize("processes", [1, 2])
def test_users_order_on_while_the_disk_hangs_and_the_run_says_that_it_did(
    load: Load, shop: Shop, tmp_path: Path, processes: int
) -> None:
    several = ("--processes", str(processes)) if processes > 1 else ()
    locust = load.complete(
        shop.url, "-f", _locustfile(tmp_path, HANGING), "-t", "5s", "-u", "20", *several
    )
    told = [row for row in locust.events("harness") if row["event"] == "ledger_sync_slow"]
    on_its_way = [row for row in told if row["detail"].endswith("fsync has taken 1 s and goes on")]
    assert on_its_way
    assert any(re.search(r"an fsync took [0-9.]+ s", row["detail"]) for row in told)
    until = parse_time(on_its_way[0]["at"])
    meanwhile = [
        sent for sent in locust.sent().values() if until - 800_000 < (sent.sent_at or 0) < until
    ]
    assert meanwhile
    assert set(shop.attempt_ids()) == set(locust.sent())


def test_failed_fsync_stops_the_load_and_says_why(load: Load, shop: Shop, tmp_path: Path) -> None:
    locust = load.complete(shop.url, "-f", _locustfile(tmp_path, FAILING), "-t", "60s")
    assert locust.process.returncode == EXIT_OUR_FAULT
    assert "fsync: Input/output error" in locust.errors
    assert "run_failed" in locust.event_names("harness")
    assert set(shop.attempt_ids()) <= set(locust.sent())
