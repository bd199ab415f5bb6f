"""No mistake: the steps of which the broken shops are made, so that none is blamed for those."""

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
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        total = take_stock(db, wanted)
        order_id = write_order(db, wanted, total)
    return confirm(wanted, order_id, total)


app = shop_that(place)
