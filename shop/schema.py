"""Makes the shop's tables and first stock, safely while many servers start at once."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from shop.catalog import CATALOG
from shop.database import TROUBLE, Connection, connection_string, describe
from shop.errors import SchemaError
from shop.settings import Settings

SCHEMA = Path(__file__).with_name("schema.sql")
# Any number will do so long as every server uses the same one: "shop" in ASCII.
LOCK = 0x73686F70
PAUSE_S = 0.25

logger = logging.getLogger(__name__)


def prepare_database(settings: Settings) -> None:
    """Make the tables if there are none, and fill `products` if it is empty.

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
        found = connection.execute("SELECT to_regclass('products'), to_regclass('orders')")
        if found.fetchone() == (None, None):
            connection.execute(SCHEMA.read_bytes())
        # Tables of another make (the article's, say) fail here rather than at an order.
        connection.execute(
            "SELECT id, product_id, quantity, total, status, created_at, order_key, attempt_id,"
            " served_by FROM orders LIMIT 0"
        )
        if connection.execute("SELECT 1 FROM products LIMIT 1").fetchone() is None:
            _stock_up(connection, settings.stock_factor)


def _stock_up(connection: Connection, factor: int) -> None:
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
