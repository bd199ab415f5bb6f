"""Mistake: orders of one piece return by a path without a COMMIT: rolled back after the 201."""

from contextlib import closing

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


def place(wanted: OrderRequest) -> Response:
    with closing(connect()) as db:
        if answer := find_order(db, wanted):
            return answer
        total = take_stock(db, wanted)
        order_id = write_order(db, wanted, total)
        if wanted.quantity == 1:
            return confirm(wanted, order_id, total)  # nothing to pack together
        db.commit()
    return confirm(wanted, order_id, total)


app = shop_that(place)
