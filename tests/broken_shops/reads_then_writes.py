"""Mistake: the stock is read, reckoned with, and written back without a lock: updates are lost."""

import time
from decimal import Decimal

from flask import Response

from tests.broken_shops._plain import (
    CHARGE_S,
    Connection,
    OrderRequest,
    RefusedError,
    confirm,
    connect,
    find_order,
    shop_that,
    write_order,
)


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        total = _take_stock(db, wanted)
        order_id = write_order(db, wanted, total)
    return confirm(wanted, order_id, total)


def _take_stock(db: Connection, wanted: OrderRequest) -> Decimal:
    product = db.execute(
        "SELECT stock, price FROM products WHERE id = %s", (wanted.product_id,)
    ).fetchone()
    assert product
    stock, price = product
    if stock < wanted.quantity:
        raise RefusedError(409, "insufficient stock", kind="insufficient-stock")
    time.sleep(CHARGE_S)
    db.execute(
        "UPDATE products SET stock = %s WHERE id = %s", (stock - wanted.quantity, wanted.product_id)
    )
    return Decimal(price) * wanted.quantity


app = shop_that(place)
