"""The judge against shops with known mistakes, in short: no lab, no fault, a few seconds of load.

`make selftest` is the long form: every shop, in the lab, with the fault.
"""

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from analysis.judging.invariants import CHECKS
from infra.lab.database.postgres import Postgres
from infra.lab.processes.guard import Guard
from infra.lab.processes.ports import free_port
from infra.lab.processes.process_group import ProcessGroup
from tests.harness.load import ROOT, Load
from tests.selftest.cases import CASES, REAL, SHOPS, Case
from tests.selftest.judgements import Judgements, judge_both_ways
from tests.selftest.results import compare

INVARIANTS = {name for name, _, _ in CHECKS}
IN_SHORT = (REAL, "forgets_commit", "refuses_after_insert", "retries_inside")
START_LIMIT_S = 30
# Of rows, so that enough were acknowledged of a shop that refuses a third of them.
ENOUGH_ORDERS = 50


def case_of(shop: str) -> Case:
    return next(each for each in CASES if each.shop == shop)


# The table.


def test_every_shop_is_in_the_table() -> None:
    files = {each.stem for each in SHOPS.glob("*.py") if not each.name.startswith("_")}
    assert {each.shop for each in CASES} == files | {REAL}


def test_every_row_has_a_name_of_its_own() -> None:
    assert len({each.name for each in CASES}) == len(CASES)


def test_every_invariant_has_a_shop_that_breaks_it_and_no_other_is_named() -> None:
    assert {name for each in CASES for name in each.expected} == INVARIANTS
    assert {name for each in CASES for name in each.may_also} <= INVARIANTS


def test_at_least_twelve_shops_are_broken_and_each_says_what_is_wrong() -> None:
    broken = [each for each in CASES if each.expected]
    assert len({each.shop for each in broken}) >= 12
    for each in CASES:
        assert each.mistake.startswith("no") == (not each.expected), each.shop


def test_the_shop_itself_is_tried_three_times_under_the_same_load() -> None:
    same = [each for each in CASES if each.shop == REAL and not (each.variables or each.arguments)]
    assert len(same) >= 3


# What makes a row hold.


def summary_with(verdict: str, *broken: str, told: int = 100, targets: int = 1) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "invariants": [
            {"id": name, "verdict": "broken" if name in broken else "held", "detail": ""}
            for name in sorted(INVARIANTS)
        ],
        "attempts": {"acknowledged": told},
        "orders": {"rows": told, "committed": 1},
        "fault": {"targets": ["i-1"] * targets},
    }


def holds(shop: str, summary: dict[str, Any]) -> bool:
    judged = Judgements(as_found=summary, without_keys=summary, contradicted=0)
    return compare(case_of(shop), judged, fault="a fault").holds


def test_a_broken_shop_has_to_be_found_by_the_right_invariant() -> None:
    assert holds("forgets_commit", summary_with("broken", "durability"))
    assert not holds("forgets_commit", summary_with("held"))
    assert not holds("forgets_commit", summary_with("broken", "fidelity"))
    assert not holds("forgets_commit", summary_with("broken", "durability", "fidelity"))


def test_a_consequence_of_the_mistake_is_no_false_accusation() -> None:
    assert holds("old_prices", summary_with("broken", "arithmetic", "fidelity"))
    assert not holds("old_prices", summary_with("broken", "fidelity"))


def test_a_correct_shop_has_to_be_held() -> None:
    assert holds(REAL, summary_with("held"))
    assert not holds(REAL, summary_with("undecided"))
    assert not holds(REAL, summary_with("broken", "durability"))


def test_a_correct_shop_has_to_stay_clear_where_its_keys_are_hidden_too() -> None:
    held, accused = summary_with("held"), summary_with("broken", "nothing-unexpected")
    for judged in (
        Judgements(as_found=held, without_keys=accused, contradicted=0),
        Judgements(as_found=held, without_keys=held, contradicted=1),
    ):
        assert not compare(case_of(REAL), judged, fault="a fault").holds


def test_a_broken_shop_is_never_held_not_even_where_its_keys_are_hidden() -> None:
    broken, held = summary_with("broken", "durability"), summary_with("held")
    for without_keys, is_right in ((held, False), (summary_with("undecided"), True)):
        judged = Judgements(as_found=broken, without_keys=without_keys, contradicted=0)
        assert compare(case_of("forgets_commit"), judged, fault="").holds == is_right


def test_a_run_without_orders_or_without_its_fault_proves_nothing() -> None:
    assert not holds(REAL, summary_with("held", told=3))
    assert not holds(REAL, summary_with("held", targets=0))


# The judge itself.


class Counter:
    """One shop on a database of its own, and the Locust that loads it."""

    def __init__(self, case: Case, postgres: Postgres, guard: Guard, folder: Path) -> None:
        name = f"selftest_{case.shop}"
        with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER shop".encode())
        self._database_url = urlunsplit(urlsplit(postgres.url)._replace(path=f"/{name}"))
        self._url = f"http://127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "gunicorn", "--config", "python:shop.gunicorn_conf"]
        self.server = ProcessGroup(
            [*command, "--bind", self._url.removeprefix("http://"), case.application],
            guard=guard,
            log=folder / f"{case.shop}.log",
            environment={
                "PATH": os.environ["PATH"],
                "DATABASE_URL": self._database_url,
                "SHOP_WORKERS": "1",
                "SHOP_STOCK_FACTOR": "100",
            },
            folder=ROOT,
        )
        (folder / case.shop).mkdir()
        self.load = Load(folder / case.shop)

    def wait_until_open(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                urllib.request.urlopen(f"{self._url}/health", timeout=5).close()
            except OSError:
                assert time.monotonic() < deadline, self.server.tail()
                assert self.server.is_alive(), self.server.tail()
                time.sleep(0.1)
            else:
                return

    def begin(self) -> None:
        self.load.environment["DATABASE_URL"] = self._database_url
        self.locust = self.load.start(self._url, "-u", "20", "-t", "90s")

    def wait_for_orders(self) -> None:
        """By their number and not by the time, which is another on every machine."""
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            while True:
                found = connection.execute("SELECT count(*) FROM orders").fetchone()
                if found and found[0] >= ENOUGH_ORDERS:
                    return
                assert self.locust.process.poll() is None, self.locust.process.communicate()
                time.sleep(0.1)

    def end(self) -> None:
        self.locust.tell(signal.SIGTERM)

    def judgements(self) -> Judgements:
        self.locust.wait()
        return judge_both_ways(self.locust.run)

    def close(self) -> None:
        self.load.end()
        self.server.kill()


@pytest.fixture(scope="module")
def judged(
    postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Judgements]]:
    """What the judge says of a few shops, which are loaded at the same time."""
    folder = tmp_path_factory.mktemp("shops")
    counters: dict[str, Counter] = {}
    with Guard() as guard:
        try:
            for shop in IN_SHORT:
                counters[shop] = Counter(case_of(shop), postgres_server, guard, folder)
            for each in counters.values():
                each.wait_until_open()
                each.begin()
            for each in counters.values():
                each.wait_for_orders()
            for each in counters.values():
                each.end()
            yield {shop: each.judgements() for shop, each in counters.items()}
        finally:
            for each in counters.values():
                each.close()


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.parametrize("shop", IN_SHORT)
def test_the_judge_finds_the_mistake_and_nothing_else(
    judged: dict[str, Judgements], shop: str
) -> None:
    result = compare(case_of(shop), judged[shop], fault="")
    assert result.holds, result
