"""Orders in one round trip: what is true of one whose answer is lost, or that comes too late."""

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from shop.database.pool import Connection, Pool
from shop.database.session import AtOnce, Session, UnansweredError, end, open_session, run, trace
from shop.orders.order_tables import ORDER_TABLES
from shop.orders.schema import prepare_database
from shop.settings import Settings

pytestmark = pytest.mark.lab

Rows = Callable[[str], list[tuple[object, ...]]]
MakeShop = Callable[..., Flask]

SELL = cast(AtOnce, ORDER_TABLES["keyed"].sell_at_once)
ORDER = {"product_id": 3, "quantity": 2}
HEADERS = {"Idempotency-Key": "k", "X-Request-Id": "attempt-1"}
VALUES = (3, 2, "k", "attempt-1", "i-a")


@pytest.fixture
def pool(settings: Settings) -> Pool:
    prepare_database(settings)
    return Pool(settings)


def connect(pool: Pool) -> Connection:
    return pool.connect(time.monotonic() + 10)


def sold(connection: Connection, session: Session) -> list[str] | None:
    return run(connection, session, VALUES, time.monotonic() + 10)


def test_what_a_statement_did_is_found_and_is_not_done_twice(pool: Pool) -> None:
    with connect(pool) as first, connect(pool) as second:
        session = open_session(first, SELL)
        row = sold(first, session)
        assert row is not None
        assert row[1:3] == ["Mechanical Keyboard", "259.98"]
        assert trace(SELL, session, VALUES, second) == row
        assert sold(second, open_session(second, SELL)) is None


def test_a_row_whose_commit_postgres_then_refuses_is_no_success(pool: Pool, rows: Rows) -> None:
    rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RAISE SQLSTATE ''40001''; END'"
    )
    rows(
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with connect(pool) as connection:
        session = open_session(connection, SELL)
        with pytest.raises(psycopg.errors.SerializationFailure):
            sold(connection, session)
    assert rows("SELECT count(*) FROM orders") == [(0,)]


def test_a_session_that_is_asked_about_can_do_nothing_any_more(pool: Pool, rows: Rows) -> None:
    with connect(pool) as first, connect(pool) as second:
        session = open_session(first, SELL)
        assert trace(SELL, session, VALUES, second) is False
        with pytest.raises(UnansweredError):
            sold(first, session)
    assert rows("SELECT count(*) FROM orders") == [(0,)]


def test_no_other_session_knows_the_statement(pool: Pool, rows: Rows) -> None:
    with connect(pool) as first, connect(pool) as second:
        session = open_session(first, SELL)
        open_session(second, SELL)
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            sold(second, session)
    assert rows("SELECT count(*) FROM orders") == [(0,)]


def test_a_server_that_never_had_the_session_is_believed_when_it_has_the_row_alone(
    pool: Pool,
) -> None:
    with connect(pool) as first, connect(pool) as second:
        session = dataclasses.replace(open_session(first, SELL), server="another")
        assert not end(session, second)
        assert trace(SELL, session, VALUES, second) is None
        row = sold(first, session)
        assert trace(SELL, session, VALUES, second) == row


def test_a_row_is_not_believed_before_the_standby_has_what_was_committed(
    pool: Pool, postgres_server: Any
) -> None:
    with (
        connect(pool) as first,
        connect(pool) as second,
        psycopg.connect(postgres_server.admin_url, autocommit=True) as admin,
    ):
        session = open_session(first, SELL)
        assert sold(first, session) is not None
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        try:
            admin.execute("SELECT pg_reload_conf()")
            wait_for(second, "synchronous_standby_names", "nobody")
            second.until = time.monotonic() + 0.5
            with pytest.raises(psycopg.OperationalError):
                trace(SELL, session, VALUES, second)
        finally:
            second.close()
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")


def test_an_order_waits_for_the_stock_whatever_isolation_the_role_has(
    make_shop: MakeShop, database_url: str, rows: Rows
) -> None:
    rows("ALTER ROLE shop SET default_transaction_isolation = 'repeatable read'")
    try:
        client = make_shop().test_client()
        with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as thread:
            other.execute("UPDATE products SET stock = 40 WHERE id = 3")
            waiting = thread.submit(client.post, "/orders", json=ORDER, headers=HEADERS)
            wait_for_a_waiter(rows)
            # Done again, it would be another transaction that waits.
            first = rows("SELECT xact_start FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            other.commit()
            assert waiting.result(10).status_code == 201
        assert rows("SELECT created_at FROM orders") == first
    finally:
        rows("ALTER ROLE shop RESET default_transaction_isolation")


def test_a_statement_that_comes_too_late_does_nothing(pool: Pool, rows: Rows) -> None:
    with connect(pool) as connection:
        session = open_session(connection, SELL)
        late = dataclasses.replace(session, ahead_s=session.ahead_s - 60)
        assert sold(connection, late) is None
    assert rows("SELECT count(*) FROM orders") == [(0,)]
    assert rows("SELECT stock FROM products WHERE id = 3") == [(50,)]


def test_a_database_whose_clock_was_set_sells_again_on_new_connections(
    client: FlaskClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shop.database.session.time.monotonic", lambda: time.perf_counter() + 1e6)
        assert client.post("/orders", json=ORDER, headers=HEADERS).status_code in {201, 503}
    rows("DELETE FROM orders")
    answers = [client.post("/orders", json=ORDER, headers=HEADERS) for _ in range(3)]
    assert answers[-1].status_code == 201
    assert rows("SELECT count(*) FROM orders") == [(1,)]


def test_stock_that_goes_while_an_order_waits_for_it_is_not_oversold(
    client: FlaskClient, database_url: str, rows: Rows
) -> None:
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as thread:
        other.execute("UPDATE products SET stock = 1 WHERE id = 3")
        waiting = thread.submit(client.post, "/orders", json=ORDER, headers=HEADERS)
        wait_for_a_waiter(rows)
        other.commit()
        answer = waiting.result(10)
    assert (answer.status_code, answer.get_json()["available"]) == (409, 1)
    assert rows("SELECT count(*) FROM orders") == [(0,)]
    assert rows("SELECT stock FROM products WHERE id = 3") == [(1,)]


def test_an_order_cut_off_while_it_waits_for_a_lock_is_ended_and_placed_once(
    make_shop: MakeShop, database_url: str, rows: Rows, wire: Any
) -> None:
    client = make_shop(database_url=wire.url).test_client()
    wire.cut_at = b"\0sell_"
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as thread:
        other.execute("SELECT FROM products WHERE id = 3 FOR UPDATE")
        waiting = thread.submit(client.post, "/orders", json=ORDER, headers=HEADERS)
        while not wire.cuts:
            time.sleep(0.01)
        time.sleep(0.5)
        wait_for_a_waiter(rows)
        other.rollback()
        answer = waiting.result(10)
    assert answer.status_code == 201
    assert "Idempotency-Replayed" not in answer.headers
    assert rows("SELECT count(*) FROM orders") == [(1,)]
    assert rows("SELECT stock FROM products WHERE id = 3") == [(48,)]


def wait_for_a_waiter(rows: Rows) -> None:
    deadline = time.monotonic() + 10
    while rows("SELECT count(*) FROM pg_locks WHERE NOT granted") != [(1,)]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for(connection: Connection, setting: str, value: str) -> None:
    deadline = time.monotonic() + 10
    while connection.execute(f"SHOW {setting}".encode()).fetchone() != (value,):
        assert time.monotonic() < deadline
        time.sleep(0.01)
