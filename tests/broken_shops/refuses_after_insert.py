"""Mistake: the order is committed before it is looked at, and then refused with 409."""

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

MOST_PIECES = 2


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        total = take_stock(db, wanted)
        order_id = write_order(db, wanted, total)
    if wanted.quantity > MOST_PIECES:
        raise RefusedError(409, "no more than two to a customer", kind="insufficient-stock")
    return confirm(wanted, order_id, total)


app = shop_that(place)
