"""Mistake: whether there is enough is looked up in a cache, and the stock then taken unasked."""

import time
from decimal import Decimal

from flask import Response

from tests.broken_shops._plain import (
    Connection,
    OrderRequest,
    RefusedError,
    confirm,
    connect,
    drop_rule,
    find_order,
    shop_that,
    write_order,
)

FRESH_FOR_S = 3.0
# product -> its stock, and until when that is good enough
_stock: dict[int, tuple[int, float]] = {}


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        if _stock_of(db, wanted.product_id) < wanted.quantity:
            raise RefusedError(409, "insufficient stock", kind="insufficient-stock")
        sold = db.execute(
            "UPDATE products SET stock = stock - %s WHERE id = %s RETURNING price",
            (wanted.quantity, wanted.product_id),
        ).fetchone()
        assert sold
        total = Decimal(sold[0]) * wanted.quantity
        order_id = write_order(db, wanted, total)
    return confirm(wanted, order_id, total)


def _stock_of(db: Connection, product_id: int) -> int:
    stock, good_until = _stock.get(product_id, (0, 0.0))
    if time.monotonic() > good_until:
        found = db.execute("SELECT stock FROM products WHERE id = %s", (product_id,)).fetchone()
        assert found
        stock = found[0]
        _stock[product_id] = stock, time.monotonic() + FRESH_FOR_S
    return stock


drop_rule("products", "products_stock_check")
app = shop_that(place)
