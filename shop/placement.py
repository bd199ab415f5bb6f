"""Orders in the database: place one exactly once, find one.

Placing is BEGIN, one statement, COMMIT. Everything an answer needs comes out of that
statement; only an order that was not placed costs a further look.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from psycopg import errors as pg
from psycopg.rows import class_row

from shop.catalog import find_product
from shop.database import Connection, Database
from shop.errors import DatabaseUnavailableError, RefusedError

LARGEST_INT4 = 2**31 - 1

# The conditional UPDATE waits for the row's lock and looks at the stock again once it
# has it. A key that exists, or is being committed elsewhere, yields no row: then the
# decrement has to be rolled back, which the caller does on seeing nothing returned.
SELL = b"""
WITH sold AS (
    UPDATE products SET stock = stock - %(quantity)s::int
    WHERE id = %(product_id)s::int AND stock >= %(quantity)s::int
    RETURNING id, name, price
), placed AS (
    INSERT INTO orders (product_id, quantity, total, status, order_key, attempt_id, served_by)
    SELECT id, %(quantity)s::int, price * %(quantity)s::int, 'confirmed',
           %(order_key)s::text, %(attempt_id)s::text, %(served_by)s::text
    FROM sold
    ON CONFLICT (order_key) DO NOTHING
    RETURNING *
)
SELECT placed.id, placed.product_id, sold.name AS product_name, placed.quantity,
       placed.total, placed.status, placed.created_at, placed.served_by
FROM placed JOIN sold ON sold.id = placed.product_id
"""

FIND = """
SELECT orders.id, product_id, products.name AS product_name, quantity,
       total, status, created_at, served_by
FROM orders JOIN products ON products.id = orders.product_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What one request asks for. `order_key` names the order, `attempt_id` the request."""

    product_id: int
    quantity: int
    order_key: str | None = None
    attempt_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A row of `orders` with its product's name; `created_at` is aware."""

    id: int
    product_id: int
    product_name: str
    quantity: int
    total: Decimal
    status: str
    created_at: datetime
    served_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """An order that is in the table; `is_replay` where an earlier request had put it there."""

    order: Order
    is_replay: bool


class _NothingSoldError(Exception):
    """Ends the transaction, undoing the decrement of an order whose key was taken."""


def place_order(database: Database, request: OrderRequest, *, served_by: str) -> Placement:
    """Place the order, or find the one that its key has already placed.

    Raises RefusedError (404, 409, 422) and DatabaseUnavailableError when nothing was
    done, OutcomeUnknownError when that cannot be told.
    """
    # Ids and quantities beyond the columns cannot be sold, and would not fit the statement.
    if 0 < request.product_id <= LARGEST_INT4 and request.quantity <= LARGEST_INT4:
        try:
            sell = partial(_sell, request=request, served_by=served_by)
            return Placement(order=database.transact(sell), is_replay=False)
        except _NothingSoldError:
            pass
        except pg.NumericValueOutOfRange:
            raise RefusedError(422, "the total is beyond what an order can hold") from None
    # The key comes first: its order may have taken the last piece.
    if first := _find_by_key(database, request):
        return Placement(order=first, is_replay=True)
    raise _refusal(database, request)


def find_order(database: Database, order_id: int) -> Order | None:
    """Return the order with this id, which must fit a bigint, or None."""
    rows = database.read(Order, f"{FIND} WHERE orders.id = %(id)s::bigint", {"id": order_id})
    return rows[0] if rows else None


def _sell(connection: Connection, *, request: OrderRequest, served_by: str) -> Order:
    parameters = {
        "product_id": request.product_id,
        "quantity": request.quantity,
        "order_key": request.order_key,
        "attempt_id": request.attempt_id,
        "served_by": served_by,
    }
    with connection.cursor(row_factory=class_row(Order)) as cursor:
        order = cursor.execute(SELL, parameters).fetchone()
    if order is None:
        raise _NothingSoldError
    return order


def _find_by_key(database: Database, request: OrderRequest) -> Order | None:
    if request.order_key is None:
        return None
    rows = database.read(Order, f"{FIND} WHERE order_key = %(key)s", {"key": request.order_key})
    if not rows:
        return None
    if (rows[0].product_id, rows[0].quantity) != (request.product_id, request.quantity):
        raise RefusedError(422, "this Idempotency-Key was used for a different order")
    return rows[0]


def _refusal(database: Database, request: OrderRequest) -> RefusedError:
    product = None
    if 0 < request.product_id <= LARGEST_INT4:
        product = find_product(database, request.product_id)
    if product is None:
        return RefusedError(404, "product not found")
    if product.stock >= request.quantity:
        # Restocked, or the key's first order deleted, since the sale was tried.
        raise DatabaseUnavailableError("the stock changed meanwhile")
    return RefusedError(
        409,
        "insufficient stock",
        {"available": product.stock, "requested": request.quantity},
    )
