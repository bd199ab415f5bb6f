"""POST /orders, GET /orders/{id} and GET /orders?order_key=."""

from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue

from shop.errors import DatabaseUnavailableError, OutcomeUnknownError, RefusedError
from shop.observation import metrics
from shop.orders.order_tables import ORDER_TABLES, OrderTable
from shop.orders.placement import (
    Order,
    OrderRequest,
    Placement,
    find_order,
    find_order_by_key,
    place_order,
)
from shop.web import current
from shop.web.order_request import load_key_to_find, load_order_request
from shop.web.problems import problem

blueprint = Blueprint("orders", __name__)


@blueprint.post("/orders")
def create_order() -> ResponseReturnValue:
    """Place an order: 201 with the order, and the same 201 again for the same key.

    A repeat carries `Idempotency-Replayed: true`. Refusals are 400, 404, 409, 413, 415
    and 422, and prove that this request did nothing. 503 does not, if its `outcome` is
    `unknown`.
    """
    settings, request = current.settings(), current.request()
    wanted = load_order_request(request, requires_key=settings.require_key)
    table = ORDER_TABLES[settings.schema]
    try:
        placement = place_order(current.database(), table, wanted, served_by=settings.instance_id)
    except OutcomeUnknownError:
        metrics.ORDERS.labels("unknown").inc()
        return _unknown(wanted)
    except RefusedError:
        metrics.ORDERS.labels("refused").inc()
        raise
    except DatabaseUnavailableError:
        metrics.ORDERS.labels("unavailable").inc()
        raise
    body, headers = _render_placement(wanted, placement, table)
    return jsonify(body), 201, headers


@blueprint.get("/orders")
def show_order_by_key() -> ResponseReturnValue:
    """What became of an order: 200 with it, 409 while it is being placed, 404 if it is not there.

    404 is no final no: a request that has not reached the database yet may still place it.
    """
    if not _table().keeps_keys:
        raise RefusedError(400, "this shop keeps no order keys", kind="keys-not-kept")
    order = find_order_by_key(current.database(), _table(), load_key_to_find(current.request()))
    if order is None:
        raise RefusedError(404, "no order has this key so far", kind="not-found")
    return jsonify(_render(order) | {"served_by": order.served_by})


@blueprint.get("/orders/<row_id:order_id>")
def show_order(order_id: int) -> ResponseReturnValue:
    """One order, as its answer was, without `served_by`."""
    order = find_order(current.database(), _table(), order_id)
    if order is None:
        raise RefusedError(404, "order not found", kind="not-found")
    return jsonify(_render(order))


def _table() -> OrderTable:
    return ORDER_TABLES[current.settings().schema]


def _render_placement(
    wanted: OrderRequest, placement: Placement, table: OrderTable
) -> tuple[dict[str, int | str | float], dict[str, str]]:
    """Count a placement, and return the body and the headers of its answer."""
    order = placement.order
    headers = {}
    if placement.is_replay:
        headers["Idempotency-Replayed"] = "true"
        metrics.ORDERS.labels("replayed").inc()
    else:
        metrics.PLACED.inc()
        metrics.PIECES.inc(order.quantity)
    if wanted.order_key is not None and not table.keeps_keys:
        headers["Idempotency-Ignored"] = "true"
    return _render(order) | {"served_by": order.served_by}, headers


def _render(order: Order) -> dict[str, int | str | float]:
    return {
        "order_id": order.id,
        "product_id": order.product_id,
        "product_name": order.product_name,
        "quantity": order.quantity,
        "total": float(order.total),
        "status": order.status,
        "created_at": _render_time(order.created_at),
    }


def _render_time(at: datetime) -> str:
    # Not str(): it leaves out the fraction of a full second. strftime takes ten times as long.
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _unknown(wanted: OrderRequest) -> Response:
    names = {"order_key": wanted.order_key, "attempt_id": wanted.attempt_id}
    return problem(
        503,
        "the order may have been placed or not: the database did not answer",
        kind="outcome-unknown",
        details={"outcome": "unknown"}
        | {name: value for name, value in names.items() if value is not None},
    )
