"""Mistake: the id in the answer is the table's newest, which may be another customer's by now."""

import time

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


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        total = take_stock(db, wanted)
        write_order(db, wanted, total)
    time.sleep(CHARGE_S)
    with connect() as db:
        newest = db.execute("SELECT max(id) FROM orders").fetchone()
    assert newest
    return confirm(wanted, newest[0], total)


app = shop_that(place)
