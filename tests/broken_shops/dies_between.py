"""Mistake: stock and order are two transactions with nothing that can fail between, but a death."""

import time

from flask import Response

from tests.broken_shops._plain import (
    OrderRequest,
    confirm,
    connect,
    find_order,
    shop_that,
    take_stock,
    write_order,
)

PICKING_S = 0.8


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        total = take_stock(db, wanted)
    time.sleep(PICKING_S)  # without a lock, so that others need not wait
    with connect() as db:
        order_id = write_order(db, wanted, total)
    return confirm(wanted, order_id, total)


app = shop_that(place)
