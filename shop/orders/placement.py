"""Orders in the database: place one exactly once, find one, see whether one is on its way.

Placing is one round trip for an order that has a key and names its attempt, and two for
others. Everything an answer needs comes out of one statement; only an order that was not
placed costs a further look.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from psycopg import errors as pg

from shop.database.transactions import Database
from shop.errors import BusyError, DatabaseUnavailableError, RefusedError
from shop.orders.catalog import find_product
from shop.orders.order_tables import OrderTable

LARGEST_INT4 = 2**31 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STOCK_CHECK = "products_stock_check"

# Shared, so that those who ask never keep one another waiting. Whoever places holds the
# other kind to the end of its transaction. A server that cannot write has locks of its own,
# and says nothing.
IS_IN_PROGRESS = """
SELECT NOT pg_try_advisory_xact_lock_shared(hashtextextended(%(key)s, 0)) AS is_in_progress
WHERE current_setting('transaction_read_only') = 'off'
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
class Sale(Order):
    """An order as the statement returned it that placed it; `xid` is its transaction's."""

    xid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """An order that is in the table; `is_replay` where an earlier request had put it there."""

    order: Order
    is_replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Progress:
    is_in_progress: bool


def place_order(
    database: Database, table: OrderTable, request: OrderRequest, *, served_by: str
) -> Placement:
    """Place the order, or find the one that its key has already placed.

    While another request is placing the same key this one waits for it, as long as for
    any lock: most often it can then return that order. After that it is refused.

    Raises RefusedError (404, 409, 422) and DatabaseUnavailableError when nothing was
    done, OutcomeUnknownError when that cannot be told.
    """
    key = request.order_key if table.keeps_keys else None
    # Ids and quantities beyond the columns cannot be sold, and would not fit the statement.
    if 0 < request.product_id <= LARGEST_INT4 and request.quantity <= LARGEST_INT4:
        try:
            if order := _sell(database, table, request, key, served_by):
                return Placement(order=order, is_replay=False)
        except BusyError:
            if key is not None and _is_in_progress(database, key):
                raise RefusedError(
                    409,
                    "the first request with this Idempotency-Key is still in progress",
                    kind="key-in-progress",
                ) from None
            raise
        except pg.NumericValueOutOfRange:
            raise RefusedError(
                422, "the total is beyond what an order can hold", kind="quantity"
            ) from None
    # The key comes first: its order may have taken the last piece.
    if key is not None and (first := _find_by_key(database, table, key)):
        if (first.product_id, first.quantity) != (request.product_id, request.quantity):
            raise RefusedError(
                422, "this Idempotency-Key was used for a different order", kind="key-reused"
            )
        return Placement(order=first, is_replay=True)
    raise _refusal(database, request)


def _sell(
    database: Database, table: OrderTable, request: OrderRequest, key: str | None, served_by: str
) -> Order | None:
    values = (request.product_id, request.quantity, key, request.attempt_id, served_by)
    # Two round trips where nothing tells this request's row from others'.
    if table.sell_at_once is None or key is None or request.attempt_id is None:
        return database.transact(Sale, table.sell, values)
    try:
        sold = database.transact_at_once(table.sell_at_once, values)
    except pg.ForeignKeyViolation:
        return None  # the product was taken out of the catalogue while its stock was waited for
    except pg.CheckViolation as error:
        if error.diag.constraint_name == STOCK_CHECK:
            return None
        raise
    if sold is None:
        return None
    order_id, name, total, created_us = sold
    return Order(
        id=int(order_id),
        product_id=request.product_id,
        product_name=name,
        quantity=request.quantity,
        total=Decimal(total),
        status="confirmed",
        created_at=EPOCH + timedelta(microseconds=int(created_us)),
        served_by=served_by,
    )


def find_order(database: Database, table: OrderTable, order_id: int) -> Order | None:
    """Return the order with this id, which must fit a bigint, or None."""
    return database.find(Order, f"{table.find} WHERE orders.id = %(id)s::bigint", {"id": order_id})


def find_order_by_key(database: Database, table: OrderTable, key: str) -> Order | None:
    """Return the order that was placed under this key, or None.

    None means: nobody is placing it just now, and nobody has. A request that is still on
    its way to the database may. Raises RefusedError (409) while somebody is placing it.
    """
    if order := _find_by_key(database, table, key):
        return order
    is_in_progress = _is_in_progress(database, key)
    # Looked for again: it may have been committed between the first look and the question.
    if order := _find_by_key(database, table, key):
        return order
    if is_in_progress:
        raise RefusedError(
            409, "a request with this key is still in progress", kind="key-in-progress"
        )
    return None


def _find_by_key(database: Database, table: OrderTable, key: str) -> Order | None:
    return database.find(Order, f"{table.find} WHERE order_key = %(key)s", {"key": key})


def _is_in_progress(database: Database, key: str) -> bool:
    progress = database.find(_Progress, IS_IN_PROGRESS, {"key": key})
    return progress is None or progress.is_in_progress


def _refusal(database: Database, request: OrderRequest) -> RefusedError:
    product = None
    if 0 < request.product_id <= LARGEST_INT4:
        product = find_product(database, request.product_id)
    if product is None:
        return RefusedError(404, "product not found", kind="not-found")
    if product.stock >= request.quantity:
        # Restocked, or the key's first order deleted, since the sale was tried. Or else the
        # server's clock was set, and our sessions with it take every order to be late.
        database.start_anew()
        raise DatabaseUnavailableError("the stock changed meanwhile")
    return RefusedError(
        409,
        "insufficient stock",
        kind="insufficient-stock",
        details={"available": product.stock, "requested": request.quantity},
    )
