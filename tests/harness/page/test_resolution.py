"""Doubts that turn out to have committed while the run is on, and databases that do not answer."""

import time
from collections.abc import Callable

import gevent
import psycopg

from harness.page.resolution import Resolution
from harness.record.counts_by_second import Doubt
from harness.record.reported_counts import LiveFleet

KEYED = """
    CREATE TABLE orders (id serial PRIMARY KEY, product_id int, quantity int, total numeric,
                         order_key text UNIQUE, attempt_id text)
"""


def fleet_with(*doubts: tuple[str, str, str]) -> LiveFleet:
    fleet = LiveFleet(run_id="run")
    for attempt_id, order_key, cause in doubts:
        fleet.doubts[attempt_id] = Doubt(attempt_id=attempt_id, order_key=order_key, cause=cause)
    return fleet


def resolved(resolution: Resolution, is_so: Callable[[Resolution], object]) -> Resolution:
    resolution.start()
    try:
        give_up_at = time.monotonic() + 30
        while not is_so(resolution):
            assert time.monotonic() < give_up_at, resolution.as_dict()
            gevent.sleep(0.05)
    finally:
        resolution.close()
    return resolution


def test_a_row_is_of_the_attempt_whose_id_it_bears(database_url: str) -> None:
    rows = "INSERT INTO orders (order_key, attempt_id) VALUES ('k1', 'a1'), ('k2', 'a2-again')"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(KEYED.encode())
        connection.execute(rows.encode())
    fleet = fleet_with(("a1", "k1", "502"), ("a2", "k2", "timeout"), ("a3", "k3", "502"))
    resolution = Resolution(fleet, database_url=database_url, gather=lambda: None)
    found = resolved(resolution, lambda each: each.as_dict()["total"]).as_dict()
    assert found["committed"] == {"502": 1}
    assert found["trouble"] == ""


def test_a_database_that_is_not_there_is_said_and_nothing_is_raised() -> None:
    url = "postgresql://shop:secret-word@127.0.0.1:1/shop"
    resolution = Resolution(fleet_with(("a1", "k1", "502")), database_url=url, gather=lambda: None)
    found = resolved(resolution, lambda each: each.as_dict()["trouble"]).as_dict()
    assert "127.0.0.1:1" in found["trouble"]
    assert "secret-word" not in found["trouble"]
    assert found["asked_s_ago"] is None


def test_without_a_database_it_says_so() -> None:
    resolution = Resolution(fleet_with(), database_url="", gather=lambda: None)
    assert "--database-url" in resolution.as_dict()["trouble"]
