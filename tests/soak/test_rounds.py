"""kill -9 of the load generator at random moments: the short form of `make soak`."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from infra.lab.database.postgres import Postgres
from infra.lab.processes.guard import Guard
from tests.soak.lane import Lane
from tests.soak.rounds import Finding, Round, late_orders, play

pytestmark = [pytest.mark.slow, pytest.mark.lab]

FORGETFUL = Path(__file__).with_name("forgetful.py")
KINDS = ("two processes", "the master", "at its end")


@pytest.fixture(scope="module")
def lanes(
    postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Lane]]:
    names = ("soak_1", "soak_2")
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name} OWNER shop".encode())
    urls = [urlunsplit(urlsplit(postgres_server.url)._replace(path=f"/{each}")) for each in names]
    with Guard() as guard:
        both = [Lane(tmp_path_factory.mktemp("lane"), guard, each) for each in urls]
        for lane in both:
            lane.wait_until_healthy()
        yield both
        for lane in both:
            lane.close()


def _play(rounds: list[Round], lanes: list[Lane]) -> list[tuple[Finding, Lane]]:
    """Play each lane's share, both lanes at once."""

    def play_some(lane: Lane, some: list[Round]) -> list[tuple[Finding, Lane]]:
        return [(play(each, lane), lane) for each in some]

    with ThreadPoolExecutor(len(lanes)) as pool:
        parts = [
            pool.submit(play_some, lane, rounds[number :: len(lanes)])
            for number, lane in enumerate(lanes)
        ]
        return [found for part in parts for found in part.result()]


def test_kill_9_at_random_moments_loses_no_order_and_makes_no_claim_wrong(
    lanes: list[Lane],
) -> None:
    rounds = [
        Round(
            number=number,
            kind=kind,
            users=random.randint(2, 12),
            kill_after_s=random.uniform(0, 1),
            finish_kills_s=(random.uniform(0, 0.6),) if number == 0 else (),
        )
        for number, kind in enumerate(KINDS)
    ]
    found = _play(rounds, lanes)
    assert len(found) == len(KINDS)
    for finding, lane in found:
        assert finding.problems == [], finding.round
        assert finding.attempts > 0
        assert late_orders(finding, lane) == []


def test_round_sees_a_ledger_that_is_written_too_late(lanes: list[Lane]) -> None:
    late = Round(number=100, kind="alone", users=12, kill_after_s=1, locustfile=FORGETFUL)
    ((finding, _),) = _play([late], lanes[:1])
    assert any("from outside the ledgers" in each for each in finding.problems)
    assert any("unexpected" in each for each in finding.problems)
