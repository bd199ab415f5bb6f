"""Mistake: equal orders within seconds pass for a double click: 201 with another customer's id."""

import time

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

DOUBLE_CLICK_S = 5.0
# product and quantity -> the answer, and until when it is given again
_answers: dict[tuple[int, int], tuple[bytes, float]] = {}


def place(wanted: OrderRequest) -> Response:
    what = (wanted.product_id, wanted.quantity)
    body, good_until = _answers.get(what, (b"", 0.0))
    if time.monotonic() < good_until:
        return Response(body, 201, mimetype="application/json")
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        total = take_stock(db, wanted)
        order_id = write_order(db, wanted, total)
    answer = confirm(wanted, order_id, total)
    _answers[what] = answer.get_data(), time.monotonic() + DOUBLE_CLICK_S
    return answer


app = shop_that(place)
