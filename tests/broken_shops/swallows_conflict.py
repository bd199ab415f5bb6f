"""Mistake: a serialization failure is logged as harmless, and the customer told 201."""

import logging

from flask import Response
from psycopg import IsolationLevel
from psycopg.errors import SerializationFailure

from tests.broken_shops._plain import (
    CHARGE_S,
    Connection,
    OrderRequest,
    confirm,
    connect,
    find_order,
    look_up_total,
    reserve_id,
    shop_that,
    take_stock,
    write_order,
)

MOST_PIECES_A_DAY = 1_000_000


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        order_id, total = reserve_id(db), look_up_total(db, wanted)
    try:
        with connect() as db:
            _place(db, wanted, order_id)
    except SerializationFailure as error:
        logging.getLogger(__name__).warning("somebody else was faster: %s", error)
    return confirm(wanted, order_id, total)


def _place(db: Connection, wanted: OrderRequest, order_id: int) -> None:
    db.isolation_level = IsolationLevel.SERIALIZABLE
    total = take_stock(db, wanted)
    write_order(db, wanted, total, order_id=order_id)
    # What van drives today: it needs to see everybody's orders, hence the isolation.
    loaded = db.execute("SELECT sum(quantity), pg_sleep(%s) FROM orders", (CHARGE_S,)).fetchone()
    assert loaded
    assert loaded[0] < MOST_PIECES_A_DAY


app = shop_that(place)
