"""Mistake: orders wait in the memory of their server to be written later by a thread of its own."""

import queue
import threading
import time

from flask import Response

from tests.broken_shops._plain import (
    OrderRequest,
    confirm,
    connect,
    look_up_total,
    reserve_id,
    shop_that,
    take_stock,
    write_order,
)

LATER_S = 4.0
_waiting: queue.SimpleQueue[tuple[float, OrderRequest, int]] = queue.SimpleQueue()


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        order_id, total = reserve_id(db), look_up_total(db, wanted)
    _waiting.put((time.monotonic() + LATER_S, wanted, order_id))
    return confirm(wanted, order_id, total)


def _write() -> None:
    while True:
        due, wanted, order_id = _waiting.get()
        time.sleep(max(due - time.monotonic(), 0))
        with connect() as db:
            write_order(db, wanted, take_stock(db, wanted), order_id=order_id)


threading.Thread(target=_write, daemon=True).start()
app = shop_that(place)
