"""No mistake, but the worst manners: every fifth order is placed, and its customer not told.

Each answer is of a kind that promises nothing: 500, 503, a body that breaks off, and silence.
"""

import itertools
import time
from collections.abc import Iterator

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

# Longer than its customers wait.
SILENCE_S = 3
_orders = itertools.count()
_manners = itertools.cycle(("500", "503", "break off", "silence"))


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        total = take_stock(db, wanted)
        order_id = write_order(db, wanted, total)
    answer = confirm(wanted, order_id, total)
    return _spoil(answer, next(_manners)) if next(_orders) % 5 == 0 else answer


def _spoil(answer: Response, manner: str) -> Response:
    if manner == "silence":
        time.sleep(SILENCE_S)
    elif manner == "break off":
        answer.response = _half(answer.get_data())
    else:
        answer.status_code = int(manner)
    return answer


def _half(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionError("the rest is not to be had")


app = shop_that(place)
