"""What a transaction's failure proves, seen from the class that runs it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import psycopg
import pytest

from shop.catalog import find_product
from shop.database import Connection, Database
from shop.errors import DatabaseUnavailableError, OutcomeUnknownError
from shop.schema import prepare_database
from shop.settings import Settings

pytestmark = pytest.mark.lab

Rows = Callable[[str], list[tuple[object, ...]]]

TAKE_ONE = "UPDATE products SET stock = stock - 1 WHERE id = 3"


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    prepare_database(settings)
    hasty = dataclasses.replace(settings, idle_in_transaction_timeout_ms=200)
    with closing(Database(hasty)) as database:
        yield database


def test_a_transaction_that_raises_is_rolled_back_and_its_connection_kept(
    database: Database, rows: Rows
) -> None:
    def work(connection: Connection) -> None:
        connection.execute(TAKE_ONE)
        raise KeyError

    with pytest.raises(KeyError):
        database.transact(work)
    assert stock(database) == 50
    sessions = rows("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'chaos%'")
    assert sessions == [(1,)]


def test_a_commit_that_postgres_turns_into_a_rollback_is_no_success(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(TAKE_ONE)
        with suppress(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")

    with pytest.raises(DatabaseUnavailableError):
        database.transact(work)
    assert stock(database) == 50


def test_a_session_that_stalls_in_its_transaction_loses_its_locks(
    database: Database, rows: Rows
) -> None:
    def work(connection: Connection) -> None:
        connection.execute(TAKE_ONE)
        time.sleep(0.6)
        rows(f"SET lock_timeout = 100; {TAKE_ONE}")

    with pytest.raises(OutcomeUnknownError):
        database.transact(work)
    assert stock(database) == 49


def test_connections_are_shared_between_threads_but_not_at_one_time(database: Database) -> None:
    seen: list[Connection] = []

    def outer(connection: Connection) -> None:
        seen.append(connection)
        database.transact(seen.append)

    database.transact(outer)
    database.transact(seen.append)
    assert seen[0] is not seen[1]
    assert seen[2] in seen[:2]


def stock(database: Database) -> int:
    product = find_product(database, 3)
    assert product is not None
    return product.stock
