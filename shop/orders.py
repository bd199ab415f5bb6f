"""POST /orders and GET /orders/{id}."""

from __future__ import annotations

from datetime import UTC

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from shop import current
from shop.errors import OutcomeUnknownError, RefusedError
from shop.order_request import load_order_request
from shop.placement import Order, OrderRequest, find_order, place_order

blueprint = Blueprint("orders", __name__)


@blueprint.post("/orders")
def create_order() -> ResponseReturnValue:
    """Place an order: 201 with the order, and the same 201 again for the same key.

    A repeat carries `Idempotency-Replayed: true`. Refusals are 400, 404, 409, 413, 415
    and 422, and prove that this request did nothing. 503 does not, if its `outcome` is
    `unknown`.
    """
    wanted = load_order_request(request)
    try:
        placement = place_order(
            current.database(), wanted, served_by=current.settings().instance_id
        )
    except OutcomeUnknownError:
        return jsonify(_render_unknown(wanted)), 503
    body = _render(placement.order) | {"served_by": placement.order.served_by}
    headers = {"Idempotency-Replayed": "true"} if placement.is_replay else {}
    return jsonify(body), 201, headers


@blueprint.get("/orders/<row_id:order_id>")
def show_order(order_id: int) -> ResponseReturnValue:
    """One order, as its answer was, without `served_by`."""
    order = find_order(current.database(), order_id)
    if order is None:
        raise RefusedError(404, "order not found")
    return jsonify(_render(order))


def _render(order: Order) -> dict[str, int | str | float]:
    return {
        "order_id": order.id,
        "product_id": order.product_id,
        "product_name": order.product_name,
        "quantity": order.quantity,
        "total": float(order.total),
        "status": order.status,
        # Not str(): it leaves out the fraction of a full second.
        "created_at": order.created_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }


def _render_unknown(wanted: OrderRequest) -> dict[str, str]:
    names = {"order_key": wanted.order_key, "attempt_id": wanted.attempt_id}
    return {
        "error": "the order may have been placed or not: the database did not answer",
        "outcome": "unknown",
        **{name: value for name, value in names.items() if value is not None},
    }
