"""Mistake: whatever fails is done again from the start, the order included that was committed."""

from decimal import Decimal

from flask import Response

from tests.broken_shops._plain import (
    OrderRequest,
    ProviderAway,
    confirm,
    connect,
    drop_rule,
    find_order,
    send_mail,
    shop_that,
    take_stock,
    write_order,
)


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
    while True:
        try:
            order_id, total = _place(wanted)
            return confirm(wanted, order_id, total)
        except ProviderAway:
            continue


def _place(wanted: OrderRequest) -> tuple[int, Decimal]:
    with connect() as db:
        total = take_stock(db, wanted)
        order_id = write_order(db, wanted, total)
    send_mail()
    return order_id, total


drop_rule("orders", "orders_order_key_key")
app = shop_that(place)
