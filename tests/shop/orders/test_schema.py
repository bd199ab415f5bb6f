"""Many servers start at once on one database, and none of them resets it."""

import dataclasses
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psycopg
import pytest

from shop.errors import SchemaError
from shop.orders import schema
from shop.orders.schema import load_migrations, prepare_database
from shop.settings import Settings

Rows = Callable[[str], list[tuple[object, ...]]]


ROUNDS = 3


def start_in_each_round(settings: Settings, together: Barrier) -> None:
    """Start as a server does, at once with the others, on what was emptied since the last time."""
    for _ in range(ROUNDS):
        together.wait(60)
        prepare_database(settings)
        together.wait(60)


@pytest.mark.lab
def test_four_servers_starting_at_once_on_an_empty_database_all_succeed(
    settings: Settings, rows: Rows
) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(5)
    servers = [
        context.Process(target=start_in_each_round, args=(settings, together)) for _ in range(4)
    ]
    for server in servers:
        server.start()
    for _ in range(ROUNDS):
        rows("DROP TABLE IF EXISTS orders, products")
        together.wait(60)
        together.wait(60)
        assert rows("SELECT count(*), sum(stock) FROM products") == [(10, 840)]
    for server in servers:
        server.join(60)
    assert [server.exitcode for server in servers] == [0] * 4


@pytest.mark.lab
def test_stock_is_multiplied_once_and_never_reset(settings: Settings, rows: Rows) -> None:
    prepare_database(dataclasses.replace(settings, stock_factor=1000))
    assert rows("SELECT stock FROM products WHERE id = 3") == [(50_000,)]
    rows("UPDATE products SET stock = 7 WHERE id = 3")
    rows("DELETE FROM products WHERE id = 10")
    prepare_database(dataclasses.replace(settings, stock_factor=5))
    assert rows("SELECT stock FROM products WHERE id = 3") == [(7,)]
    assert rows("SELECT count(*) FROM products") == [(9,)]


@pytest.mark.lab
def test_products_added_later_get_the_next_id(settings: Settings, rows: Rows) -> None:
    prepare_database(settings)
    query = "INSERT INTO products (name, price, stock) VALUES ('Lamp', 1, 1) RETURNING id"
    assert rows(query) == [(11,)]


@pytest.mark.lab
def test_tables_of_another_make_are_refused_at_the_start(settings: Settings, rows: Rows) -> None:
    rows("CREATE TABLE products (id int); CREATE TABLE orders (id int)")
    with pytest.raises(SchemaError, match="use an empty one"):
        prepare_database(settings)


@pytest.mark.lab
def test_a_role_that_may_not_create_tables_is_told_so(settings: Settings, rows: Rows) -> None:
    rows("DROP SCHEMA public")
    with pytest.raises(SchemaError, match="role may create tables"):
        prepare_database(settings)


@pytest.mark.lab
def test_the_start_waits_for_a_lock_longer_than_a_request_would(
    settings: Settings, database_url: str
) -> None:
    impatient = dataclasses.replace(settings, lock_timeout_ms=100, start_timeout_ms=1_000)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(1936224112)")
        started = time.monotonic()
        with pytest.raises(SchemaError, match="was not ready within 1 s"):
            prepare_database(impatient)
        assert time.monotonic() - started > 0.5
    prepare_database(impatient)


def test_a_database_that_refuses_connections_is_given_up_with_one_line() -> None:
    secret = "s3cr3t-pa55"
    settings = Settings(
        database_url=f"postgresql://shop:{secret}@127.0.0.1:1/shop", start_timeout_ms=600
    )
    started = time.monotonic()
    with pytest.raises(SchemaError) as caught:
        prepare_database(settings)
    assert time.monotonic() - started > 0.25
    message = str(caught.value)
    assert "shop at 127.0.0.1:1 was not ready within 0.6 s" in message
    assert "\n" not in message
    assert secret not in message


@pytest.mark.lab
def test_a_database_made_before_migrations_were_numbered_is_brought_up_to_date(
    settings: Settings, rows: Rows
) -> None:
    first = load_migrations()[0][1].read_text(encoding="utf-8")
    rows(first)
    rows(
        "INSERT INTO products (id, name, price, stock) VALUES (3, 'Mechanical Keyboard', 129.99, 5)"
    )
    rows(
        "INSERT INTO orders (product_id, quantity, total, status, order_key, served_by)"
        " VALUES (3, 1, 129.99, 'confirmed', 'k', 'i-old')"
    )
    for _ in range(2):
        prepare_database(settings)
    numbers = [(number,) for number, _ in load_migrations()]
    assert rows("SELECT number FROM shop_migrations ORDER BY number") == numbers
    assert rows("SELECT order_key, served_by FROM orders") == [("k", "i-old")]
    with pytest.raises(psycopg.errors.CheckViolation):
        rows("UPDATE orders SET status = 'maybe'")


@pytest.mark.lab
@pytest.mark.parametrize("rule", [" CHECK (stock >= 0)", " UNIQUE"])
def test_tables_of_another_make_that_would_sell_too_much_are_not_used(
    settings: Settings, rows: Rows, rule: str
) -> None:
    first = load_migrations()[0][1].read_text(encoding="utf-8")
    before, _, after = first.rpartition(rule)
    rows(before + after)
    with pytest.raises(SchemaError, match=r"the tables lack \w+: make them as"):
        prepare_database(settings)


@pytest.mark.lab
def test_a_server_starts_on_tables_newer_than_itself(settings: Settings, rows: Rows) -> None:
    prepare_database(settings)
    rows("INSERT INTO shop_migrations (number) VALUES (999)")
    prepare_database(settings)
    assert rows("SELECT max(number) FROM shop_migrations") == [(999,)]


@pytest.mark.lab
def test_a_migration_of_many_rows_may_take_longer_than_a_requests_statement(
    settings: Settings, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_database(settings)
    for number in range(len(load_migrations()) + 1):
        (tmp_path / f"{number}.sql").write_text("SELECT pg_sleep(0.3)")
    monkeypatch.setattr(schema, "MIGRATIONS", tmp_path)
    hasty = dataclasses.replace(settings, statement_timeout_ms=100, start_timeout_ms=1_000)
    prepare_database(hasty)
    assert rows("SELECT max(number) FROM shop_migrations") == [(len(load_migrations()),)]
