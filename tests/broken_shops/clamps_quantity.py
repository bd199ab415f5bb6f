"""Mistake: more than two pieces become two, and nobody is told."""

from dataclasses import replace

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

MOST_PIECES = 2


def place(wanted: OrderRequest) -> Response:
    allowed = replace(wanted, quantity=min(wanted.quantity, MOST_PIECES))
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        total = take_stock(db, allowed)
        order_id = write_order(db, allowed, total)
    return confirm(wanted, order_id, total)


app = shop_that(place)
