"""Mistake: the stock is taken in one transaction, the order written in another.

Between them the money is asked for. Where that fails, nobody gives the stock back.
"""

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
    charge()
    with connect() as db:
        order_id = write_order(db, wanted, total)
    return confirm(wanted, order_id, total)


app = shop_that(place)
