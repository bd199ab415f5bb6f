"""Mistake: the order at work is a global variable, so that threads write one another's product."""

import time
from dataclasses import replace

from flask import Response

from tests.broken_shops._plain import (
    CHARGE_S,
    OrderRequest,
    confirm,
    connect,
    find_order,
    shop_that,
    take_stock,
    write_order,
)


class _Now:
    """What is being ordered."""

    product_id = 0


def place(wanted: OrderRequest) -> Response:
    _Now.product_id = wanted.product_id
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        time.sleep(CHARGE_S)
        written = replace(wanted, product_id=_Now.product_id)
        total = take_stock(db, written)
        order_id = write_order(db, written, total)
    return confirm(wanted, order_id, total)


app = shop_that(place)
