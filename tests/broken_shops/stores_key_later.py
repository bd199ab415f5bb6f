"""Mistake: the key is stored after the order, so that a repeat in between finds nothing."""

from dataclasses import replace

from flask import Response

from tests.broken_shops._plain import (
    OrderRequest,
    charge,
    confirm,
    connect,
    find_order,
    shop_that,
    take_stock,
    write_order,
)


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        total = take_stock(db, wanted)
        order_id = write_order(db, replace(wanted, order_key=None), total)
    charge()
    with connect() as db:
        db.execute("UPDATE orders SET order_key = %s WHERE id = %s", (wanted.order_key, order_id))
    return confirm(wanted, order_id, total)


app = shop_that(place)
