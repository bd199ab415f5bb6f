"""Snapshots of a real PostgreSQL: both schemas, time zones, settling, and silence on passwords."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from analysis import __main__ as command
from analysis.database.reading import connect
from analysis.database.snapshot import take_after, take_before
from analysis.evidence.errors import DatabaseError, EvidenceError
from analysis.evidence.ledger.line_records import AttemptEnded, AttemptSent, LedgerOpened
from analysis.evidence.records import Outcome, RunVerdict, parse_time
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ATTEMPTS, ORDERS, PRODUCTS
from analysis.verdict.judge_run import judge, load_evidence
from infra.lab.database.postgres import Postgres

AT = parse_time("2026-11-23T12:00:00Z")

PRODUCTS_SQL = """
    CREATE TABLE products (
        id SERIAL PRIMARY KEY, name VARCHAR(100) NOT NULL, price NUMERIC(10, 2) NOT NULL,
        stock INTEGER NOT NULL);
    INSERT INTO products (name, price, stock) VALUES ('Mug', 19.99, 10), ('Pen', 5, 10);
"""
ARTICLES_SQL = """
    CREATE TABLE orders (
        id SERIAL PRIMARY KEY, product_id INTEGER REFERENCES products (id),
        quantity INTEGER NOT NULL, total NUMERIC(10, 2) NOT NULL,
        status VARCHAR(20) DEFAULT 'confirmed',
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
"""
KEYED_SQL = """
    CREATE TABLE orders (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, product_id INTEGER NOT NULL,
        quantity INTEGER NOT NULL, total NUMERIC(10, 2) NOT NULL,
        status TEXT NOT NULL DEFAULT 'confirmed',
        created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
        order_key TEXT UNIQUE, attempt_id TEXT, served_by TEXT);
"""


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    made = RunDirectory.create(root=tmp_path, experiment="test", at=AT)
    made.update_run(started_at="2026-11-23T12:00:00Z")
    return made


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def before_and_after(directory: RunDirectory, url: str, *statements: str) -> None:
    """Snapshot, do something, snapshot."""
    take_before(directory, url, settle_limit_s=10)
    execute(url, *statements)
    take_after(directory, url, settle_limit_s=10)


@pytest.mark.lab
def test_articles_schema_is_read_with_its_missing_columns_empty(
    database_url: str, directory: RunDirectory
) -> None:
    execute(
        database_url,
        PRODUCTS_SQL + ARTICLES_SQL,
        "INSERT INTO orders (product_id, quantity, total) VALUES (1, 1, 19.99)",
    )
    before_and_after(
        directory,
        database_url,
        "INSERT INTO orders (product_id, quantity, total) VALUES (1, 2, 39.98)",
        "UPDATE products SET stock = stock - 2 WHERE id = 1",
    )
    (order,) = directory.read_table(ORDERS)
    assert (order.id, order.product_id, order.quantity) == (2, 1, 2)
    assert (order.total, order.status) == (Decimal("39.98"), "confirmed")
    assert (order.order_key, order.attempt_id, order.served_by) == ("", "", "")
    mug, pen = directory.read_table(PRODUCTS)
    assert (mug.name, mug.price, mug.stock_before, mug.stock_after) == (
        "Mug",
        Decimal("19.99"),
        10,
        8,
    )
    assert (pen.stock_before, pen.stock_after) == (10, 10)
    assert directory.read_run()["settle"]["settled"] is True
    before = directory.read_before()
    assert before is not None
    assert before["max_order_id"] == 1


@pytest.mark.lab
def test_keyed_schema_is_read_whole(database_url: str, directory: RunDirectory) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    before_and_after(
        directory,
        database_url,
        """INSERT INTO orders (product_id, quantity, total, created_at, order_key, attempt_id,
                               served_by)
           VALUES (2, 3, 15, '2026-11-23 13:00:00.123456+01', E'o,"\\n1', 'a1', 'i-1'),
                  (1, 1, 19.99, 'infinity', NULL, NULL, NULL)""",
    )
    order, odd = directory.read_table(ORDERS)
    assert order.created_at == parse_time("2026-11-23T12:00:00.123456Z")
    assert (order.order_key, order.attempt_id, order.served_by) == ('o,"\n1', "a1", "i-1")
    assert (odd.created_at, odd.order_key) == (None, "")


@pytest.mark.lab
def test_time_without_a_zone_is_in_the_databases_own(
    database_url: str, directory: RunDirectory
) -> None:
    name = urlsplit(database_url).path.removeprefix("/")
    execute(
        database_url,
        f"ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'",
        PRODUCTS_SQL + ARTICLES_SQL,
    )
    before_and_after(
        directory,
        database_url,
        """INSERT INTO orders (product_id, quantity, total, created_at)
           VALUES (1, 1, 19.99, '2026-11-23 17:30:00')""",
    )
    (order,) = directory.read_table(ORDERS)
    assert order.created_at == parse_time("2026-11-23T12:00:00Z")


@pytest.mark.lab
def test_commit_time_is_read_where_the_server_tracks_it(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    take_before(directory, database_url, settle_limit_s=10)
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO orders (product_id, quantity, total) VALUES (1, 1, 19.99)")
        time.sleep(0.3)
        tracked = connection.execute("SHOW track_commit_timestamp").fetchone()
    take_after(directory, database_url, settle_limit_s=10)
    (order,) = directory.read_table(ORDERS)
    assert order.created_at is not None
    if tracked == ("on",):
        assert order.committed_at is not None
        assert order.committed_at - order.created_at >= 300_000
    else:
        assert order.committed_at is None


@pytest.mark.lab
def test_price_that_changed_during_the_run_is_unknown(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    before_and_after(directory, database_url, "UPDATE products SET price = 20 WHERE id = 1")
    prices = {each.id: each.price for each in directory.read_table(PRODUCTS)}
    assert prices == {1: None, 2: Decimal("5.00")}


@pytest.mark.lab
def test_rows_that_came_with_ids_from_before_the_run_are_noticed(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, PRODUCTS_SQL + ARTICLES_SQL, "ALTER SEQUENCE orders_id_seq CACHE 32")
    insert = b"INSERT INTO orders (product_id, quantity, total) VALUES (1, 1, 19.99)"
    with (
        psycopg.connect(database_url, autocommit=True) as one,
        psycopg.connect(database_url, autocommit=True) as other,
    ):
        one.execute(insert)
        other.execute(insert)  # its block of ids begins above the other's
        take_before(directory, database_url, settle_limit_s=10)
        one.execute(insert)
        other.execute(insert)
        take_after(directory, database_url, settle_limit_s=10)
    assert [each.id for each in directory.read_table(ORDERS)] == [34]
    assert directory.read_run()["older_rows"] == 1


@pytest.mark.lab
def test_many_orders_are_streamed_in_order(database_url: str, directory: RunDirectory) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    before_and_after(
        directory,
        database_url,
        """INSERT INTO orders (product_id, quantity, total)
           SELECT 1, 1, 19.99 FROM generate_series(1, 12000)""",
    )
    assert [each.id for each in directory.read_table(ORDERS)] == list(range(1, 12001))


# --- settling ---


@contextmanager
def open_transaction(url: str, *, seconds: float = 0) -> Iterator[None]:
    """Hold an order uncommitted, for the block or for so many seconds."""
    with psycopg.connect(url, application_name="slow shop") as connection:
        connection.execute("INSERT INTO orders (product_id, quantity, total) VALUES (1, 1, 19.99)")
        if not seconds:
            yield
            return
        timer = threading.Timer(seconds, connection.commit)
        timer.start()
        try:
            yield
        finally:
            timer.join()


@pytest.mark.lab
def test_snapshot_waits_for_an_open_transaction(database_url: str, directory: RunDirectory) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    take_before(directory, database_url, settle_limit_s=10)
    with open_transaction(database_url, seconds=1.0):
        settle = take_after(directory, database_url, settle_limit_s=20)
    assert settle.settled
    assert settle.waited_s >= 0.9
    assert len(list(directory.read_table(ORDERS))) == 1


@pytest.mark.lab
def test_transaction_that_stays_open_is_named_at_the_limit(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    take_before(directory, database_url, settle_limit_s=10)
    with open_transaction(database_url):
        settle = take_after(directory, database_url, settle_limit_s=1)
    assert not settle.settled
    (session,) = settle.open_transactions
    assert session["application_name"] == "slow shop"
    assert session["state"] == "idle in transaction"
    assert parse_time(session["xact_start"]) > AT - 10**15
    assert directory.read_run()["settle"]["open_transactions"] == [session]
    assert list(directory.read_table(ORDERS)) == []


@pytest.mark.lab
def test_open_transaction_of_a_user_whose_sessions_are_hidden_is_seen_all_the_same(
    database_url: str, postgres_server: Postgres
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    parts = urlsplit(database_url)
    plain = urlunsplit(parts._replace(netloc=f"plain:plain@{parts.netloc.rpartition('@')[2]}"))
    execute(
        postgres_server.admin_url,
        "CREATE ROLE plain LOGIN PASSWORD 'plain'",
        "GRANT pg_read_all_data TO plain",
    )
    try:
        with psycopg.connect(database_url) as stranger, connect(plain) as database:
            stranger.execute("SELECT 1")
            settle = database.settle(limit_s=0.6)
            assert not settle.settled
            assert [each["state"] for each in settle.open_transactions] == ["hidden"]
            stranger.rollback()
            assert database.settle(limit_s=10).settled
    finally:
        execute(postgres_server.admin_url, "DROP ROLE plain")


@pytest.mark.lab
def test_an_open_transaction_is_seen_where_activities_are_not_tracked(
    database_url: str, postgres_server: Postgres
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    execute(postgres_server.admin_url, "ALTER DATABASE test SET track_activities = off")
    with psycopg.connect(database_url) as stranger, connect(database_url) as database:
        stranger.execute("SELECT 1")
        settle = database.settle(limit_s=0.6)
    assert not settle.settled
    assert [each["state"] for each in settle.waited_for] == ["disabled"]


@pytest.mark.lab
def test_another_sessions_idle_connection_is_no_transaction(database_url: str) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    with psycopg.connect(database_url, autocommit=True), connect(database_url) as database:
        assert database.settle(limit_s=10).settled


@pytest.mark.lab
def test_reader_of_other_tables_that_began_later_does_not_hold_it_up(database_url: str) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    stop = threading.Event()

    def read_on() -> None:
        with psycopg.connect(database_url) as connection:
            while not stop.is_set():
                connection.execute("SELECT 1")
                time.sleep(0.01)
                connection.rollback()

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        with connect(database_url) as database:
            assert database.settle(limit_s=5).settled
    finally:
        stop.set()
        reader.join()


# --- transactions that cannot be of the run ---


@contextmanager
def idle_since_before(url: str, *statements: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody's transaction that has been left open."""
    with psycopg.connect(url, application_name="report") as connection:
        for statement in statements or ("SELECT count(*) FROM orders",):
            connection.execute(statement.encode())
        yield connection
        connection.rollback()


@pytest.mark.lab
@pytest.mark.parametrize(
    "statements",
    [
        (),
        ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", "SELECT 1 FROM products"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SELECT 1 FROM orders"),
    ],
)
def test_an_idle_reader_from_before_the_run_is_named_and_not_waited_for(
    database_url: str, directory: RunDirectory, statements: tuple[str, ...]
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    with idle_since_before(database_url, *statements):
        before = take_before(directory, database_url, settle_limit_s=20)
        with open_transaction(database_url, seconds=0.5):
            after = take_after(directory, database_url, settle_limit_s=20)
    assert before.settled
    assert after.settled
    assert max(before.waited_s, after.waited_s) < 15
    (named,) = after.idle
    assert named["application_name"] == "report"
    assert after.waited_for == []
    assert directory.read_run()["settle"]["open_transactions"][0]["waited_for"] is False
    assert len(list(directory.read_table(ORDERS))) == 1


@pytest.mark.lab
def test_a_request_that_began_in_the_run_and_has_not_inserted_yet_is_waited_for(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    take_before(directory, database_url, settle_limit_s=10)
    with idle_since_before(database_url):
        assert not take_after(directory, database_url, settle_limit_s=0.6).settled


@pytest.mark.lab
def test_a_pooled_transaction_from_before_the_run_that_was_used_in_it_is_waited_for(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    with idle_since_before(database_url, "SELECT 1") as pooled:
        assert take_before(directory, database_url, settle_limit_s=10).settled
        pooled.execute("SELECT stock FROM products WHERE id = 1")  # and there the request hangs
        settle = take_after(directory, database_url, settle_limit_s=0.6)
    assert not settle.settled
    assert [each["application_name"] for each in settle.waited_for] == ["report"]


@pytest.mark.lab
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM products WHERE id = 1 FOR UPDATE",
        "LOCK TABLE orders IN ROW EXCLUSIVE MODE",
        "CREATE TEMP TABLE mine (id int)",
        "SELECT pg_current_xact_id()::text",
        "SELECT pg_advisory_xact_lock(1)",
    ],
)
def test_a_transaction_from_before_the_run_that_may_write_is_waited_for(
    database_url: str, statement: str
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    with idle_since_before(database_url, statement), connect(database_url) as database:
        assert not database.settle(limit_s=0.6).settled


@pytest.mark.lab
def test_what_an_idle_transaction_may_have_ordered_is_no_proof_against_the_shop(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    with directory.new_table(ATTEMPTS):
        pass
    with idle_since_before(database_url) as report:
        take_before(directory, database_url, settle_limit_s=10)
        report.execute("INSERT INTO orders (product_id, quantity, total) VALUES (1, 1, 19.99)")
        report.commit()
        take_after(directory, database_url, settle_limit_s=10)
    invariants = {each.id: each for each in judge(load_evidence(directory)).invariants}
    unexpected = invariants["nothing-unexpected"]
    assert unexpected.verdict is RunVerdict.UNDECIDED
    assert "1 rows that nobody ordered" in unexpected.detail


@pytest.mark.lab
def test_a_late_request_is_seen_that_writes_below_a_view_or_into_a_partition(
    database_url: str,
) -> None:
    execute(
        database_url,
        PRODUCTS_SQL,
        "CREATE TABLE sales (id int, product_id int, quantity int, total numeric)"
        " PARTITION BY RANGE (id)",
        "CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM (0) TO (9)",
        "CREATE VIEW orders AS SELECT * FROM sales",
    )
    with connect(database_url) as database:
        run_ended = database._now()
        with psycopg.connect(database_url) as late:
            late.execute("INSERT INTO sales_1 VALUES (1, 1, 1, 1)")
            found = database._open_transactions(run_ended, run_ended)
    assert [each["waited_for"] for each in found] == [True]


# --- the whole of it ---


@pytest.mark.lab
def test_finish_reads_the_database_of_a_killed_run_and_judges_it(
    database_url: str, directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert command.main(["snapshot", str(directory.path), "--before"]) == 0
    execute(
        database_url,
        """INSERT INTO orders (product_id, quantity, total, order_key, attempt_id)
           VALUES (1, 1, 19.99, 'order-a', 'a'), (1, 1, 19.99, 'order-b', 'b')""",
        "UPDATE products SET stock = stock - 2 WHERE id = 1",
    )
    sent = [
        AttemptSent(
            attempt_id=name,
            order_key=f"order-{name}",
            attempt_no=1,
            user_id="u",
            product_id=1,
            quantity=1,
            due_at=None,
            sent_at=AT,
            trace_id="",
        )
        for name in ("a", "b", "c")
    ]
    ended = AttemptEnded(
        attempt_id="a",
        ended_at=AT + 1,
        outcome=Outcome.ACKNOWLEDGED,
        http_status=201,
        error="",
        order_id=1,
        served_by="i-1",
        bytes=1,
    )
    records = [LedgerOpened(process_id="p1", at=AT), *sent, ended]
    directory.ledger_file("p1").write_bytes(b"".join(each.to_line() for each in records))
    assert command.main(["finish", str(directory.path)]) == 0
    summary = json.loads(directory.path.joinpath("summary.json").read_text())
    orders = summary["orders"]
    assert (orders["confirmed"], orders["committed"], orders["absent"]) == (1, 1, 1)
    assert summary["verdict"] == "held"
    assert directory.read_run()["interrupted"] is True
    execute(database_url, "DELETE FROM orders WHERE id = 1")
    assert command.main(["finish", str(directory.path)]) == 0, "evidence is read once"


# --- evidence and errors ---


@pytest.mark.lab
def test_evidence_is_not_written_twice(database_url: str, directory: RunDirectory) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    before_and_after(directory, database_url)
    for take in (take_before, take_after):
        with pytest.raises(EvidenceError, match="never written a second time"):
            take(directory, database_url, settle_limit_s=1)


@pytest.mark.lab
def test_without_the_first_snapshot_there_is_no_second(
    database_url: str, directory: RunDirectory
) -> None:
    with pytest.raises(EvidenceError, match=r"snapshot_before\.json is missing"):
        take_after(directory, database_url, settle_limit_s=1)


@pytest.mark.lab
@pytest.mark.parametrize(
    ("statements", "complaint"),
    [([], "no table orders"), ([PRODUCTS_SQL, "CREATE TABLE orders (id int)"], "lacks product_id")],
    ids=["empty", "strange"],
)
def test_a_database_that_is_no_shops_is_named(
    database_url: str, directory: RunDirectory, statements: list[str], complaint: str
) -> None:
    execute(database_url, *statements)
    with pytest.raises(DatabaseError, match=complaint):
        take_before(directory, database_url, settle_limit_s=1)


@pytest.mark.lab
def test_a_locked_table_is_an_error_and_no_endless_wait(
    database_url: str, directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    monkeypatch.setattr("analysis.database.postgres.LOCK_LIMIT", "200ms")
    with psycopg.connect(database_url) as migration:
        migration.execute("LOCK TABLE orders")
        with pytest.raises(DatabaseError, match="lock timeout"):
            take_before(directory, database_url, settle_limit_s=1)


@pytest.mark.lab
def test_a_replica_is_refused_since_what_it_lacks_may_be_there(
    database_url: str, directory: RunDirectory
) -> None:
    name = urlsplit(database_url).path.removeprefix("/")
    execute(
        database_url,
        PRODUCTS_SQL + KEYED_SQL,
        "CREATE FUNCTION pg_is_in_recovery() RETURNS boolean RETURN true",
        f"ALTER DATABASE {name} SET search_path = public, pg_catalog",
    )
    with pytest.raises(DatabaseError, match="names a replica"):
        take_before(directory, database_url, settle_limit_s=1)


@pytest.mark.lab
def test_a_wrong_password_is_one_line_without_it(database_url: str) -> None:
    parts = urlsplit(database_url)
    address = parts.netloc.rpartition("@")[2]
    wrong = urlunsplit(parts._replace(netloc=f"nobody:s3cret@{address}"))
    complaint = complaint_of(wrong)
    assert "s3cret" not in complaint
    assert "\n" not in complaint
    assert "cannot be read" in complaint


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:s3cret@127.0.0.1:1/shop",
        "postgresql://shop:p%40s3cret@127.0.0.1:1/shop",
        "postgresql://shop:p@s3cret@127.0.0.1:1/shop",
        "postgresql://shop:p/s3cret@127.0.0.1:1/shop",
        "postgresql://shop@127.0.0.1:1/shop?password=s3cret",
        "postgresql+psycopg://shop:s3cret@127.0.0.1:1/shop",
        "host=127.0.0.1 port=1 password=s3cret",
        "host=127.0.0.1 port=1 password='s3cret",
        "nonsense s3cret",
        "postgresql://shop:p?s3cret=x@127.0.0.1:1/shop",
        "mysql://shop:s3cret@127.0.0.1/shop",
    ],
)
def test_no_error_shows_a_password(url: str) -> None:
    complaint = complaint_of(url)
    assert "s3cret" not in complaint
    assert "\n" not in complaint
    assert "DATABASE_URL" in complaint


@pytest.mark.parametrize(
    ("query", "advice"),
    [
        ("schema=public", r"\(schema\): leave them out; .* \?options=-csearch_path%3DNAME"),
        ("sslmode=disable&pgbouncer=true&connection_limit=1", r"\(pgbouncer, connection_limit\)"),
    ],
)
def test_parameters_of_other_libraries_are_named(query: str, advice: str) -> None:
    url = f"postgresql://shop:s3cret@127.0.0.1:1/shop?{query}"
    with pytest.raises(DatabaseError, match=advice) as caught, connect(url):
        os.abort()
    assert "s3cret" not in str(caught.value)


def complaint_of(url: str) -> str:
    with pytest.raises(DatabaseError) as caught, connect(url):
        os.abort()
    assert caught.value.__cause__ is None
    return str(caught.value)
