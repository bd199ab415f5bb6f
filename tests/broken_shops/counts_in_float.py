"""Mistake: cents are `int(price * 100)`, which for 79.99 are 7998."""

from decimal import Decimal

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
        price = float(take_stock(db, wanted) / wanted.quantity)
        cents = int(price * 100) * wanted.quantity
        total = Decimal(cents) / 100
        order_id = write_order(db, wanted, total)
    return confirm(wanted, order_id, total)


app = shop_that(place)
