"""What a transaction's failure proves, seen from the class that runs it."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import psycopg
import pytest

from shop.database.pool import Pool
from shop.database.transactions import Database, Statement, fate
from shop.errors import BusyError, DatabaseUnavailableError, OutcomeUnknownError
from shop.orders.catalog import find_product
from shop.orders.schema import prepare_database
from shop.settings import Settings

pytestmark = pytest.mark.lab

Rows = Callable[[str], list[tuple[object, ...]]]


@dataclass(frozen=True, kw_only=True)
class Taken:
    id: int
    xid: str


def statement(query: str) -> Statement:
    return Statement(
        name="take", types=("int",), query=query, trace=b"SELECT EXISTS (SELECT FROM orders)"
    )


TAKE = statement(
    "UPDATE products SET stock = stock - $1 WHERE id = 3"
    " RETURNING id, pg_current_xact_id()::text AS xid"
)


@pytest.fixture
def pool(settings: Settings) -> Iterator[Pool]:
    prepare_database(settings)
    pool = Pool(dataclasses.replace(settings, pool_size=2))
    yield pool
    pool.close_idle()


@pytest.fixture
def database(pool: Pool, settings: Settings) -> Database:
    return Database(pool, settings)


def asked(database: Database, change: Taken) -> object:
    return database._ask(partial(fate, TAKE, change), time.monotonic() + 2)


def stock(database: Database) -> int:
    product = find_product(database, 3)
    assert product is not None
    return product.stock


def test_a_statement_that_makes_no_row_is_rolled_back_and_its_connection_kept(
    database: Database, rows: Rows
) -> None:
    made_none = "WITH taken AS (UPDATE products SET stock = stock - $1) SELECT 1 AS id WHERE false"
    assert database.transact(Taken, statement(made_none), (1,)) is None
    assert stock(database) == 50
    sessions = rows("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'chaos%'")
    assert sessions == [(1,)]


def test_a_statement_that_fails_is_rolled_back_and_its_connection_kept(
    database: Database, rows: Rows
) -> None:
    for _ in range(2):
        with pytest.raises(psycopg.errors.CheckViolation):
            database.transact(Taken, TAKE, (51,))
    assert database.transact(Taken, TAKE, (50,)) is not None
    sessions = rows("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'chaos%'")
    assert sessions == [(1,)]


def test_a_commit_that_postgres_refuses_is_no_success(database: Database, rows: Rows) -> None:
    rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RAISE SQLSTATE ''40001''; END'"
    )
    rows(
        "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON products DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(DatabaseUnavailableError):
        database.transact(Taken, TAKE, (1,))
    assert stock(database) == 50


def test_a_serialization_failure_is_done_again(database: Database, rows: Rows) -> None:
    rows("CREATE SEQUENCE tries")
    rows(
        "CREATE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN"
        " IF nextval(''tries'') < 3 THEN RAISE SQLSTATE ''40001''; END IF; RETURN new; END'"
    )
    rows("CREATE TRIGGER t BEFORE UPDATE ON products FOR EACH ROW EXECUTE FUNCTION fail_twice()")
    assert database.transact(Taken, TAKE, (1,)) is not None
    assert (stock(database), rows("SELECT last_value FROM tries")) == (49, [(3,)])


def test_a_commit_whose_fate_another_server_tells_is_not_believed(
    database: Database,
) -> None:
    # After a failover the id of our transaction may be that of another one, or still to come.
    for xid in ("3", str(2**40), "not-an-id"):
        assert asked(database, Taken(id=3, xid=xid)) is None


def test_a_transaction_still_at_work_is_neither_there_nor_not(
    database: Database, database_url: str
) -> None:
    with psycopg.connect(database_url) as other:
        found = other.execute("SELECT pg_current_xact_id()::text").fetchone()
        assert found is not None
        open_change = Taken(id=3, xid=str(found[0]))
        assert asked(database, open_change) is None
        with pytest.raises(OutcomeUnknownError):
            database._settle(partial(fate, TAKE, open_change))
        other.rollback()
    assert asked(database, open_change) is False


def test_connections_are_as_many_as_the_pool_and_waiting_has_limits(settings: Settings) -> None:
    prepare_database(settings)
    small = dataclasses.replace(settings, pool_size=1, waiting_room=1, pool_timeout_ms=2_000)
    pool = Pool(small)
    errors: list[str] = []

    def wait() -> None:
        try:
            stock(Database(pool, small))
        except BusyError as error:
            errors.append(str(error))

    with pool.lease(time.monotonic() + 5):
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.1)
        wait()  # the room is full: turned away at once, before the other has waited its time
        waiter.join(5)
    assert errors == ["too many requests are waiting for the database", "the database is too busy"]
    assert stock(Database(pool, small)) == 50
    pool.close_idle()


def test_a_connection_that_died_while_idle_is_never_handed_out(pool: Pool, rows: Rows) -> None:
    with pool.lease(time.monotonic() + 5) as first, pool.lease(time.monotonic() + 5) as second:
        pids = {first.info.backend_pid, second.info.backend_pid}
    for pid in pids:
        rows(f"SELECT pg_terminate_backend({pid}, 5000)")
    with pool.lease(time.monotonic() + 5) as third:
        assert third.info.backend_pid not in pids
        assert third.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_ends_with_the_requests_time_whatever_the_server_does(
    pool: Pool, settings: Settings
) -> None:
    hasty = Database(pool, dataclasses.replace(settings, request_timeout_ms=300))
    started = time.monotonic()
    with pytest.raises(BusyError, match="in time"):
        hasty.read(Taken, "SELECT 1 AS id, pg_sleep(30)::text AS xid")
    assert 0.25 < time.monotonic() - started < 25
