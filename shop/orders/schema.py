"""Makes the shop's tables and first stock, safely while many servers start at once.

Migrations go forward only, all in one transaction. A server that is older than the tables
starts all the same, so long as it finds its columns: both run side by side while servers
are replaced, so a migration must not take away what the version before it uses.
"""

import logging
import time
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from shop.database.pool import connection_string, describe
from shop.database.transactions import TROUBLE
from shop.errors import SchemaError
from shop.orders.catalog import CATALOG
from shop.settings import Schema, Settings

MIGRATIONS = Path(__file__).with_name("migrations")
ARTICLE = Path(__file__).with_name("article.sql")
# Any number will do so long as every server uses the same one: "shop" in ASCII.
LOCK = 0x73686F70
PAUSE_S = 0.25

# Each asks for the columns that the shop needs.
PROBES: dict[Schema, LiteralString] = {
    "keyed": (
        "SELECT id, product_id, quantity, total, status, created_at, order_key, attempt_id,"
        " served_by FROM orders LIMIT 0"
    ),
    "article": "SELECT id, product_id, quantity, total, status, created_at FROM orders LIMIT 0",
}

# What an order relies on, by name: without the first it could sell what is not there, and
# without the second place the same order twice.
CONSTRAINTS = ("products_stock_check", "orders_order_key_key")

logger = logging.getLogger(__name__)


def prepare_database(settings: Settings) -> None:
    """Make the tables, or bring them up to date, and fill `products` if it is empty.

    Stock is never reset. A database that is away is asked again until
    `settings.start_timeout_ms` have passed. Raises SchemaError.
    """
    deadline = time.monotonic() + settings.start_timeout_ms / 1000
    while True:
        try:
            return _prepare(settings)
        except TROUBLE as error:
            trouble = describe(error)
            if time.monotonic() + PAUSE_S > deadline:
                raise SchemaError(
                    f"the database {_place(settings)} was not ready within "
                    f"{settings.start_timeout_ms / 1000:g} s ({trouble}): "
                    "check that it runs and what DATABASE_URL or DB_* say"
                ) from None
        except psycopg.Error as error:
            raise SchemaError(
                f"the database {_place(settings)} cannot hold the shop ({describe(error)}): "
                "use an empty one in which this role may create tables"
            ) from None
        logger.warning("waiting for the database: %s", trouble)
        time.sleep(PAUSE_S)


def _prepare(settings: Settings) -> None:
    with psycopg.connect(connection_string(settings)) as connection:
        # Held to the end of the transaction. CREATE TABLE IF NOT EXISTS alone is no
        # protection: two at once can both find nothing, and one then fails.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        # A migration may have to look at every row: that is no request, and not to be hurried.
        limit = str(settings.start_timeout_ms)
        connection.execute("SELECT set_config('statement_timeout', %s, true)", (limit,))
        if settings.schema == "keyed":
            _migrate(connection)
        elif not _has_tables(connection):
            connection.execute(ARTICLE.read_bytes())
        # Tables of another make fail here rather than at an order.
        connection.execute(PROBES[settings.schema])
        if connection.execute("SELECT 1 FROM products LIMIT 1").fetchone() is None:
            _stock_up(connection, settings.stock_factor)


def _migrate(connection: psycopg.Connection[TupleRow]) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS shop_migrations"
        " (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    found = connection.execute("SELECT max(number) FROM shop_migrations").fetchone()
    applied: int = (found and found[0]) or 0
    if not _has_tables(connection):
        connection.execute("DELETE FROM shop_migrations")  # dropped, to begin anew
        applied = 0
    elif applied == 0:
        # Made before there were numbers, when all that there was is now the first.
        connection.execute(PROBES["keyed"])
        _check_constraints(connection)
        connection.execute("INSERT INTO shop_migrations (number) VALUES (1)")
        applied = 1
    for number, migration in load_migrations():
        if number > applied:
            logger.info("migrating the database: %s", migration.stem)
            connection.execute(migration.read_bytes())
            connection.execute("INSERT INTO shop_migrations (number) VALUES (%s)", (number,))


def _check_constraints(connection: psycopg.Connection[TupleRow]) -> None:
    found = connection.execute(
        "SELECT conname FROM pg_constraint"
        " WHERE conrelid IN ('products'::regclass, 'orders'::regclass)"
    )
    if missing := set(CONSTRAINTS) - {name for (name,) in found}:
        raise SchemaError(
            f"the tables lack {', '.join(sorted(missing))}: "
            "make them as shop/orders/migrations/001_tables.sql does, or use an empty database"
        )


def load_migrations() -> list[tuple[int, Path]]:
    """Return the migrations in the order of their numbers, which run from 1 without a gap."""
    return list(enumerate(sorted(MIGRATIONS.glob("*.sql")), start=1))


def _has_tables(connection: psycopg.Connection[TupleRow]) -> bool:
    found = connection.execute("SELECT to_regclass('products'), to_regclass('orders')")
    return found.fetchone() != (None, None)


def _stock_up(connection: psycopg.Connection[TupleRow], factor: int) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO products (id, name, price, stock) VALUES (%s, %s, %s, %s)",
            [(p.id, p.name, p.price, p.stock * factor) for p in CATALOG],
        )
        # Ids were given by hand, for the same on every fleet: the sequence has to follow.
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('products', 'id'), max(id)) FROM products"
        )


def _place(settings: Settings) -> str:
    given = conninfo_to_dict(settings.database_url)
    host, port = given.get("host") or "localhost", given.get("port") or 5432
    return f"{given.get('dbname')} at {host}:{port}"
