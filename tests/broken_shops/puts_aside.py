"""Mistake: where the payment fails the order is confirmed and put aside, and nobody takes it up."""

from flask import Response

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

_put_aside: list[OrderRequest] = []


def place(wanted: OrderRequest) -> Response:
    with connect() as db:
        if answer := find_order(db, wanted):
            return answer
        order_id, total = reserve_id(db), look_up_total(db, wanted)
    try:
        charge()
    except ProviderAway:
        _put_aside.append(wanted)
        return confirm(wanted, order_id, total)
    with connect() as db:
        take_stock(db, wanted)
        write_order(db, wanted, total, order_id=order_id)
    return confirm(wanted, order_id, total)


app = shop_that(place)
