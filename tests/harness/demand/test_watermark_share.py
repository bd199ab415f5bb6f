"""What watermarks are for: on the article's tables, which keep no key, nearly all becomes certain.

Measured against a real shop and database over a way that loses orders and answers, and knows the
truth about each.
"""

import csv
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.harness.demand.lossy_way import LossyWay, lossy_way
from tests.harness.load import ROOT, Load, Locust
from tests.shop.serving.test_server import wait_until_healthy

pytestmark = [pytest.mark.slow, pytest.mark.lab]

LOCUSTFILE = """
from locust import constant, task
from harness.customers.customer import Customer

class Buyer(Customer):
    wait_time = constant(0.02)

    def on_start(self):
        self.product_ids = self.look_for_products()

    @task
    def order(self):
        self.order_one_of(self.product_ids)
"""
LOST = 100
TRUTH = {True: "committed", False: "absent"}


@pytest.fixture
def shop_port(database_url: str) -> Iterator[int]:
    """A shop with the article's schema, and enough in stock."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    settings = {"SHOP_SCHEMA": "article", "SHOP_STOCK_FACTOR": "1000", "SHOP_WORKERS": "1"}
    command = [sys.executable, "-m", "gunicorn", "--config", "python:shop.gunicorn_conf"]
    with subprocess.Popen(
        [*command, "--bind", f"127.0.0.1:{port}", "shop.wsgi:app"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until_healthy(port)
            yield port
        finally:
            process.terminate()


def test_watermarks_make_nearly_every_inference_certain(
    load: Load, shop_port: int, database_url: str
) -> None:
    without = _verdicts(load, shop_port, database_url)
    marked = _verdicts(load, shop_port, database_url, "--watermark")
    print(f"certain of {LOST}: {_certain(without):.3f} without, {_certain(marked):.3f} with")
    assert _certain(marked) >= 0.95
    # By how much depends on how fast this machine orders: the slower, the fewer are mistaken.
    assert _certain(marked) > _certain(without)


def _verdicts(load: Load, port: int, database_url: str, *options: str) -> Counter[str]:
    """Lose many orders and answers, and return what the judge made of them; never a wrong one."""
    path = load.folder / "buyers.py"
    path.write_text(LOCUSTFILE)
    with lossy_way(port) as way:
        locust = load.start(
            way.url,
            *("-f", str(path), "-u", "10", "-t", "60s", "--database-url", database_url, *options),
        )
        locust.stop_when(lambda: len(way.committed) >= LOST)
    judged = _judged(locust)
    _check_truth(way, judged)
    return Counter(judged.values())


def _judged(locust: Locust) -> dict[str, str]:
    with (locust.run / "reconciliation.csv").open(newline="") as file:
        return {
            row["attempt_id"]: row["verdict"]
            for row in csv.DictReader(file)
            if row["outcome"] == "indeterminate"
        }


def _check_truth(way: LossyWay, judged: dict[str, str]) -> None:
    assert set(judged) >= set(way.committed)
    assert set(way.committed.values()) == {True, False}
    for attempt_id, verdict in judged.items():
        if attempt_id in way.committed:
            assert verdict in {"possible", TRUTH[way.committed[attempt_id]]}


def _certain(verdicts: Counter[str]) -> float:
    """Return the share of attempts without an answer of which it is known what became of them."""
    return 1 - verdicts["possible"] / verdicts.total()
