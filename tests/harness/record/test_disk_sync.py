"""Real Locusts on a disk that hangs or fails: what their users do, and what people are told."""

import re
from pathlib import Path

import pytest

from analysis.evidence.records import parse_time
from harness.errors import EXIT_OUR_FAULT
from tests.harness.load import Load, Locust
from tests.harness.shop_server import Shop

pytestmark = pytest.mark.slow

HANGING = """\
import os
from gevent.monkey import get_original
from locust import constant
from locustfiles import shoppers
from harness.record import disk_sync as _disk_sync

class Hasty(shoppers.Shopper):
    wait_time = constant(0.1)

def _hang(file):
    get_original("time", "sleep")(1.5)
    os.fsync(file)

_disk_sync._fsync = _hang
"""
FAILING = """\
import errno, os
from harness.record import disk_sync as _disk_sync
from locustfiles.shoppers import Shopper

_disk_sync._fsync = lambda file: OSError(errno.EIO, os.strerror(errno.EIO))
"""


_TOOK = re.compile(r"an fsync took [0-9.]+ s")
_GOES_ON = "fsync has taken 1 s and goes on"


def _told(locust: Locust) -> dict[str, int]:
    """What the run's events say about its disk, and when they did."""
    if not (locust.run / "events.csv").exists():
        return {}
    rows = [each for each in locust.events("harness") if each["event"] == "ledger_sync_slow"]
    return {row["detail"]: parse_time(row["at"]) for row in rows}


def _sent_meanwhile(locust: Locust) -> bool:
    """Whether an order was sent while a disk hung."""
    hung_until = [at for each, at in _told(locust).items() if each.endswith(_GOES_ON)]
    sent_at = [each.sent_at or 0 for each in locust.sent().values()]
    return any(until - 800_000 < at < until for until in hung_until for at in sent_at)


def _locustfile(folder: Path, content: str) -> str:
    path = folder / "disk.py"
    path.write_text(content)
    return str(path)


def test_users_order_on_while_the_disk_hangs_and_the_run_says_that_it_did(
    load: Load, shop: Shop, tmp_path: Path
) -> None:
    options = ("--processes", "2", "-t", "60s", "-u", "6")
    locust = load.start(shop.url, "-f", _locustfile(tmp_path, HANGING), *options)
    locust.stop_when(
        lambda: any(_TOOK.search(each) for each in _told(locust)) and _sent_meanwhile(locust)
    )
    assert set(shop.attempt_ids()) == set(locust.sent())


def test_failed_fsync_stops_the_load_and_says_why(load: Load, shop: Shop, tmp_path: Path) -> None:
    locust = load.complete(shop.url, "-f", _locustfile(tmp_path, FAILING), "-t", "60s")
    assert locust.process.returncode == EXIT_OUR_FAULT
    assert "fsync: Input/output error" in locust.errors
    assert "run_failed" in locust.event_names("harness")
    assert set(shop.attempt_ids()) <= set(locust.sent())
