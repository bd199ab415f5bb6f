"""When the database fails, the answer is never untrue and never in the database's words."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

pytestmark = pytest.mark.lab

Rows = Callable[[str], list[tuple[object, ...]]]
MakeShop = Callable[..., Flask]

ORDER = {"product_id": 3, "quantity": 2}
COMMIT = b"COMMIT\0"  # the statement, not the end of READ COMMITTED
SELL_AT_ONCE = b"\0sell_"  # the name of a prepared statement, after its portal's
KEYED = {"Idempotency-Key": "k"}  # an order with this alone is two messages
NAMED = KEYED | {"X-Request-Id": "attempt-1"}  # and with both one
KILL = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE application_name LIKE 'chaos-shop%' AND datname = current_database()
"""


def named(number: int) -> dict[str, str]:
    return {"Idempotency-Key": f"k{number}", "X-Request-Id": f"attempt-{number}"}


def test_a_connection_killed_between_requests_is_not_noticed(
    client: FlaskClient, rows: Rows
) -> None:
    for path in ("/products", "/products/3", "/health/deep"):
        assert client.get(path).status_code == 200
        assert rows(KILL) == [(True,)]
        assert client.get(path).status_code == 200
    assert rows(KILL) == [(True,)]
    assert client.post("/orders", json=ORDER).status_code == 201
    assert rows("SELECT count(*) FROM orders") == [(1,)]


def test_a_lost_reply_to_commit_is_unknown_where_nobody_can_be_asked(
    make_shop: MakeShop, rows: Rows, wire: Any
) -> None:
    client = make_shop(database_url=wire.url).test_client()
    assert client.get("/products").status_code == 200
    wire.cut_at, wire.is_final = SELL_AT_ONCE, True
    answer = client.post("/orders", json=ORDER, headers=NAMED)
    assert wire.cuts == 1
    assert answer.status_code == 503
    body = answer.get_json()
    told = {name: body.get(name) for name in ("outcome", "order_key", "attempt_id")}
    assert told == {"outcome": "unknown", "order_key": "k", "attempt_id": "attempt-1"}
    assert body["type"].endswith(":outcome-unknown")
    wire.is_final = False
    _wait_for(rows, "SELECT count(*) FROM orders", 1)
    assert rows("SELECT attempt_id FROM orders") == [("attempt-1",)]
    again = client.post("/orders", json=ORDER, headers=NAMED)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert rows("SELECT count(*) FROM orders") == [(1,)]


def test_a_lost_reply_to_commit_is_asked_for_on_another_connection(
    make_shop: MakeShop, rows: Rows, wire: Any
) -> None:
    client = make_shop(database_url=wire.url).test_client()
    wire.cut_at = COMMIT
    answer = client.post("/orders", json=ORDER)
    assert (wire.cuts, answer.status_code) == (1, 201)
    assert "Idempotency-Replayed" not in answer.headers
    assert rows("SELECT id FROM orders") == [(answer.get_json()["order_id"],)]
    assert rows("SELECT stock FROM products WHERE id = 3") == [(48,)]


def test_a_commit_that_never_arrived_is_found_aborted_and_the_order_placed_again(
    make_shop: MakeShop, rows: Rows, wire: Any
) -> None:
    client = make_shop(database_url=wire.url).test_client()
    wire.cut_at, wire.is_delivered = COMMIT, False
    answer = client.post("/orders", json=ORDER)
    assert (wire.cuts, answer.status_code) == (1, 201)
    assert rows("SELECT id FROM orders") == [(answer.get_json()["order_id"],)]
    assert rows("SELECT stock FROM products WHERE id = 3") == [(48,)]


def test_a_commit_that_never_arrived_is_unknown_where_nobody_can_be_asked(
    make_shop: MakeShop, rows: Rows, wire: Any
) -> None:
    client = make_shop(database_url=wire.url).test_client()
    assert client.get("/products").status_code == 200
    wire.cut_at, wire.is_delivered, wire.is_final = COMMIT, False, True
    answer = client.post("/orders", json=ORDER)
    assert (answer.status_code, answer.get_json()["outcome"]) == (503, "unknown")
    assert rows("SELECT count(*) FROM orders") == [(0,)]


@pytest.mark.parametrize("cut_at", [b"PREPARE", b"EXECUTE"])
@pytest.mark.parametrize("is_delivered", [True, False])
def test_a_connection_lost_before_commit_costs_nothing(
    make_shop: MakeShop, rows: Rows, wire: Any, cut_at: bytes, is_delivered: bool
) -> None:
    client = make_shop(database_url=wire.url).test_client()
    assert client.get("/products").status_code == 200
    wire.cut_at, wire.is_delivered = cut_at, is_delivered
    answer = client.post("/orders", json=ORDER)
    assert wire.cuts == 1
    assert answer.status_code == 201
    assert rows("SELECT count(*) FROM orders") == [(1,)]
    assert rows("SELECT stock FROM products WHERE id = 3") == [(48,)]


def test_without_a_database_to_do_it_again_nothing_was_changed(
    make_shop: MakeShop, rows: Rows, wire: Any
) -> None:
    client = make_shop(database_url=wire.url).test_client()
    wire.cut_at, wire.is_final = b"EXECUTE", True
    answer = client.post("/orders", json=ORDER)
    assert answer.status_code == 503
    assert "nothing was changed" in answer.get_json()["error"]
    _wait_for(rows, "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass", 0)
    assert rows("SELECT count(*) FROM orders") == [(0,)]


@pytest.mark.parametrize("headers", [{}, KEYED, NAMED], ids=["plain", "keyed", "named"])
def test_a_locked_product_is_503_within_the_lock_timeout(
    make_shop: MakeShop, database_url: str, headers: dict[str, str]
) -> None:
    # Nothing else ends before, however busy the machine is.
    limits = dict.fromkeys(("statement_timeout_ms", "request_timeout_ms"), 20_000)
    client = make_shop(lock_timeout_ms=300, **limits).test_client()
    with psycopg.connect(database_url) as other:
        other.execute("SELECT 1 FROM products WHERE id = 3 FOR UPDATE")
        started = time.monotonic()
        answer = client.post("/orders", json=ORDER, headers=headers)
        assert time.monotonic() - started > 0.25
        assert answer.status_code == 503
        assert "too busy" in answer.get_json()["error"]
        assert client.get("/products/3").status_code == 200
        other.rollback()
    assert client.post("/orders", json=ORDER, headers=headers).status_code == 201


def test_a_slow_statement_is_503_within_the_statement_timeout(
    make_shop: MakeShop, database_url: str
) -> None:
    client = make_shop(statement_timeout_ms=300).test_client()
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE products IN ACCESS EXCLUSIVE MODE")
        assert client.get("/products").status_code == 503
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize("is_named", [False, True])
def test_a_database_that_became_read_only_is_noticed_and_left(
    make_shop: MakeShop, database_url: str, rows: Rows, is_named: bool
) -> None:
    client = make_shop().test_client()
    headers = (named(number) if is_named else {} for number in count())
    assert client.post("/orders", json=ORDER, headers=next(headers)).status_code == 201
    name = urlsplit(database_url).path[1:]
    rows(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    rows(KILL)
    answer = client.post("/orders", json=ORDER, headers=next(headers))
    assert answer.status_code == 503
    assert "read-only" in answer.get_json()["error"]
    deep = client.get("/health/deep")
    assert (deep.status_code, deep.get_json()["database"]) == (503, "read-only")
    assert client.get("/products").status_code == 200
    # What a reader has is there. What it has not may be there all the same.
    assert client.get("/orders/1").status_code == 200
    for path in ("/orders/2", "/orders?order_key=k"):
        assert client.get(path).status_code == 503
    rows(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    # The kept connection still leads to the server that cannot write: a new one is made.
    assert client.post("/orders", json=ORDER, headers=next(headers)).status_code == 201
    assert client.get("/health/deep").status_code == 200


def test_a_migration_in_the_middle_of_the_traffic_costs_nobody_an_answer(
    client: FlaskClient, rows: Rows
) -> None:
    # Whoever has prepared a statement is refused once a column in its result is another.
    for number in range(7):
        assert client.post("/orders", json=ORDER, headers=named(number)).status_code == 201
        assert client.post("/orders", json=ORDER).status_code == 201
        assert client.get("/orders/1").status_code == 200
    rows("ALTER TABLE orders ALTER COLUMN total TYPE numeric(14, 2)")
    assert client.post("/orders", json=ORDER, headers=named(7)).status_code == 201
    rows("ALTER TABLE orders ALTER COLUMN total TYPE numeric(15, 2)")
    assert client.get("/orders/1").status_code == 200
    assert client.post("/orders", json=ORDER).status_code == 201
    assert rows("SELECT count(*) FROM orders") == [(16,)]


@pytest.mark.parametrize("headers", [{}, NAMED], ids=["two round trips", "one"])
def test_a_product_that_goes_while_an_order_waits_for_it_is_not_found(
    client: FlaskClient, database_url: str, rows: Rows, headers: dict[str, str]
) -> None:
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as thread:
        other.execute("DELETE FROM products WHERE id = 3")
        waiting = thread.submit(client.post, "/orders", json=ORDER, headers=headers)
        _wait_for(rows, "SELECT count(*) FROM pg_locks WHERE NOT granted", 1)
        other.commit()
        answer = waiting.result(10)
    assert (answer.status_code, answer.get_json()["error"]) == (404, "product not found")
    assert rows("SELECT count(*) FROM orders") == [(0,)]


def test_without_a_database_only_the_shallow_answers_are_200(
    make_shop: MakeShop, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "s3cr3t-pa55"
    shop = make_shop(database_url=f"postgresql://shop:{secret}@127.0.0.1:1/shop")
    client = shop.test_client()
    assert client.get("/").status_code == 200
    assert client.get("/health").status_code == 200
    answers = [
        client.get("/health/deep"),
        client.get("/products"),
        client.get("/products/1"),
        client.get("/orders/1"),
        client.post("/orders", json=ORDER),
    ]
    assert {answer.status_code for answer in answers} == {503}
    shown = json.dumps([answer.get_json() for answer in answers])
    for leak in (secret, "127.0.0.1", "refused", "connection to server"):
        assert leak not in shown
    assert "Connection refused" in caplog.text
    assert secret not in caplog.text


def test_a_fault_of_ours_is_500_without_its_reason(
    client: FlaskClient, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    rows("ALTER TABLE orders RENAME COLUMN served_by TO gone")
    for headers in ({}, NAMED, NAMED):
        answer = client.post("/orders", json=ORDER, headers=headers)
        assert (answer.status_code, answer.get_json()["error"]) == (500, "internal error")
    # Nothing is held on, or the server's room for locks would fill.
    _wait_for(rows, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)
    assert "served_by" in caplog.text
    assert rows("SELECT stock FROM products WHERE id = 3") == [(50,)]
    assert client.get("/products").status_code == 200


def _wait_for(rows: Rows, query: str, expected: int) -> None:
    deadline = time.monotonic() + 10
    while rows(query) != [(expected,)]:
        assert time.monotonic() < deadline, query
        time.sleep(0.02)
