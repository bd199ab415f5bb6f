"""Mistake: an order that takes too long is refused with 409, and its thread goes on to commit."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from flask import Response

from tests.broken_shops._plain import (
    OrderRequest,
    RefusedError,
    confirm,
    connect,
    find_order,
    shop_that,
    take_stock,
    write_order,
)

PATIENCE_S = 0.3
_hands = ThreadPoolExecutor(16)
_orders = itertools.count(1)


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
    try:
        order_id, total = _hands.submit(_place, wanted).result(PATIENCE_S)
    except TimeoutError:
        raise RefusedError(
            409, "too busy, nothing was ordered", kind="insufficient-stock"
        ) from None
    return confirm(wanted, order_id, total)


def _place(wanted: OrderRequest) -> tuple[int, Decimal]:
    if next(_orders) % 5 == 0:
        time.sleep(2 * PATIENCE_S)  # somebody is slow now and then
    with connect() as db:
        total = take_stock(db, wanted)
        return write_order(db, wanted, total), total


app = shop_that(place)
