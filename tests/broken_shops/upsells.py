"""Mistake: a hub that nobody ordered comes with every order of three pieces, as one of its own."""

import uuid

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

ENOUGH_PIECES = 3
HUB = 2


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        total = take_stock(db, wanted)
        order_id = write_order(db, wanted, total)
        if wanted.quantity >= ENOUGH_PIECES:
            hub = OrderRequest(product_id=HUB, quantity=1, order_key=str(uuid.uuid4()))
            write_order(db, hub, take_stock(db, hub))
    return confirm(wanted, order_id, total)


app = shop_that(place)
