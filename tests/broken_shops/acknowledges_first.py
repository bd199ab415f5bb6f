"""Mistake: says 201 first and places the order afterwards, which may fail for a lock."""

import logging

from flask import Response
from psycopg.errors import LockNotAvailable

from tests.broken_shops._plain import (
    OrderRequest,
    ProviderAway,
    charge,
    confirm,
    connect,
    find_order,
    look_up_total,
    reserve_id,
    shop_that,
    take_stock,
    write_order,
)


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        order_id, total = reserve_id(db), look_up_total(db, wanted)
    answer = confirm(wanted, order_id, total)
    # The customer need not wait for the database: this is called when the answer is out.
    answer.call_on_close(lambda: write_in_peace(wanted, order_id))
    return answer


def write_in_peace(wanted: OrderRequest, order_id: int) -> None:
    try:
        with connect() as db:
            db.execute("SET LOCAL lock_timeout = '20ms'")
            total = take_stock(db, wanted)
            charge()
            write_order(db, wanted, total, order_id=order_id)
    except (LockNotAvailable, ProviderAway) as error:
        logging.getLogger(__name__).warning("order %s: %s", order_id, error)


app = shop_that(place)
