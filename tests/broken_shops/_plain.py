"""What the broken shops are made of: the real shop, with an order placed in plain, correct steps.

A broken shop takes these steps and makes one mistake. `tests/broken_shops/plain.py` makes none.
"""

import itertools
import os
import time
from collections.abc import Callable
from decimal import Decimal

import psycopg
from flask import Flask, Response, jsonify, request
from psycopg.rows import TupleRow

from shop.errors import RefusedError
from shop.observation.logs import start_logging
from shop.orders.placement import OrderRequest
from shop.start import load_settings_or_exit
from shop.web.app import create_app
from shop.web.order_request import load_order_request

__all__ = [
    "Connection",
    "OrderRequest",
    "ProviderAway",
    "RefusedError",
    "charge",
    "confirm",
    "connect",
    "drop_rule",
    "find_order",
    "look_up_total",
    "reserve_id",
    "send_mail",
    "shop_that",
    "take_stock",
    "write_order",
]

Connection = psycopg.Connection[TupleRow]
Place = Callable[[OrderRequest], Response]

CHARGE_S = 0.1
# Whom we call is away this often: one call in seven fails.
AWAY_EVERY = 7
_calls = itertools.count(1)


class ProviderAway(Exception):
    """Whoever charges cards or sends mail did not answer."""


def shop_that(place: Place) -> Flask:
    """Make the shop, in which POST /orders is what `place` does."""
    start_logging()
    app = create_app(load_settings_or_exit())

    def create_order() -> Response:
        return place(load_order_request(request, requires_key=False))

    app.view_functions["orders.create_order"] = create_order
    return app


def connect() -> Connection:
    """Connect; used with `with`, its end commits, or rolls back on an exception, and closes."""
    options = "-c timezone=UTC -c lock_timeout=2000"
    return psycopg.connect(os.environ["DATABASE_URL"], options=options)


def find_order(db: Connection, wanted: OrderRequest) -> Response | None:
    """Return the answer again that the order's key has had before, if any."""
    found = db.execute(
        "SELECT id, total FROM orders WHERE order_key = %s", (wanted.order_key,)
    ).fetchone()
    return confirm(wanted, found[0], found[1]) if found else None


def take_stock(db: Connection, wanted: OrderRequest) -> Decimal:
    """Take the pieces, and return what all of them cost together."""
    sold = db.execute(
        "UPDATE products SET stock = stock - %(quantity)s"
        " WHERE id = %(id)s AND stock >= %(quantity)s RETURNING price",
        {"id": wanted.product_id, "quantity": wanted.quantity},
    ).fetchone()
    if sold is None:
        raise RefusedError(409, "insufficient stock", kind="insufficient-stock")
    price: Decimal = sold[0]
    return price * wanted.quantity


def look_up_total(db: Connection, wanted: OrderRequest) -> Decimal:
    """Return what the pieces cost together, without taking any."""
    found = db.execute("SELECT price FROM products WHERE id = %s", (wanted.product_id,)).fetchone()
    if found is None:
        raise RefusedError(404, "product not found", kind="not-found")
    price: Decimal = found[0]
    return price * wanted.quantity


def reserve_id(db: Connection) -> int:
    """Return an order id that nobody else will get."""
    found = db.execute("SELECT nextval(pg_get_serial_sequence('orders', 'id'))").fetchone()
    assert found
    return int(found[0])


def write_order(
    db: Connection, wanted: OrderRequest, total: Decimal, *, order_id: int | None = None
) -> int:
    """Write the row, and return its id."""
    order_id = reserve_id(db) if order_id is None else order_id
    db.execute(
        "INSERT INTO orders"
        " (id, product_id, quantity, total, status, order_key, attempt_id, served_by)"
        " VALUES (%s, %s, %s, %s, 'confirmed', %s, %s, %s)",
        (
            *(order_id, wanted.product_id, wanted.quantity, total),
            *(wanted.order_key, wanted.attempt_id, os.environ.get("INSTANCE_ID", "")),
        ),
    )
    return order_id


def confirm(
    wanted: OrderRequest, order_id: int, total: Decimal | float, *, status: int = 201
) -> Response:
    """Tell the customer that the order is placed."""
    answer = jsonify(
        order_id=order_id,
        product_id=wanted.product_id,
        quantity=wanted.quantity,
        total=float(total),
        status="confirmed",
        served_by=os.environ.get("INSTANCE_ID", ""),
    )
    answer.status_code = status
    return answer


def charge() -> None:
    """Ask somebody else for the money, which takes a while. ProviderAway now and then."""
    time.sleep(CHARGE_S)
    _call()


def send_mail() -> None:
    """Confirm by mail. ProviderAway now and then."""
    _call()


def _call() -> None:
    if next(_calls) % AWAY_EVERY == 0:
        raise ProviderAway("no answer")


def drop_rule(table: str, constraint: str) -> None:
    """Have tables that were made without one of the rules which the shop's own keep to."""
    with connect() as db:
        # One server after another: each worker of each comes here.
        db.execute("SELECT pg_advisory_xact_lock(%s)", (0x72756C65,))
        found = db.execute("SELECT 1 FROM pg_constraint WHERE conname = %s", (constraint,))
        if found.fetchone():
            db.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}".encode())
