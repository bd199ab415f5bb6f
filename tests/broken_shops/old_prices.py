"""Mistake: prices come from a list that was loaded once, and two have changed since."""

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

# As they were when this was built, by product.
PRICES = {
    1: "49.99",
    2: "29.99",
    3: "129.99",
    4: "349.99",
    5: "79.99",
    6: "44.99",
    7: "199.99",
    8: "99.99",
    9: "59.99",
    10: "69.99",
}


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        take_stock(db, wanted)
        total = Decimal(PRICES[wanted.product_id]) * wanted.quantity
        order_id = write_order(db, wanted, total)
    return confirm(wanted, order_id, total)


app = shop_that(place)
