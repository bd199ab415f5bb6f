"""From an HTTP request to an OrderRequest. Strict: what is not exactly an order is refused."""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from shop.errors import RefusedError
from shop.orders.placement import OrderRequest


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# Made once: json.loads makes one for each body that is not quite plain.
DECODER = json.JSONDecoder(parse_constant=_refuse_constant)

# Printable ASCII: safe in a log line, in a text column and in a reply.
TAG = re.compile(r"[\x20-\x7e]{1,200}")


def load_order_request(request: Request, *, requires_key: bool) -> OrderRequest:
    """Return the order that `request` asks for.

    Raises RefusedError: 400 for a header, syntax or a field that is missing, and for a key
    that is required and missing; 415 for another content type; 422 for a field of another
    type than a JSON integer. A body beyond the app's MAX_CONTENT_LENGTH is werkzeug's
    RequestEntityTooLarge, and one that is cut off its ClientDisconnected.
    """
    # Read before anything is refused, so that no answer leaves a body on the wire.
    body = _load_body(request)
    order_key, attempt_id = load_tags(request.environ, requires_key=requires_key)
    if not request.is_json:
        raise RefusedError(
            415,
            "the body must be sent as Content-Type: application/json",
            kind="unsupported-media-type",
        )
    return parse_order(body, order_key=order_key, attempt_id=attempt_id)


def load_tags(environ: Mapping[str, Any], *, requires_key: bool) -> tuple[str | None, str | None]:
    """Return the key of a request's order and the request's own id. Raises RefusedError (400)."""
    order_key = _check_tag("Idempotency-Key", environ.get("HTTP_IDEMPOTENCY_KEY"))
    attempt_id = _check_tag("X-Request-Id", environ.get("HTTP_X_REQUEST_ID"))
    if requires_key and order_key is None:
        raise RefusedError(400, "an Idempotency-Key header is required", kind="key-missing")
    return order_key, attempt_id


def parse_order(body: bytes, *, order_key: str | None, attempt_id: str | None) -> OrderRequest:
    """Return the order that a body describes. Raises RefusedError (400, 422)."""
    data = _parse(body)
    if not isinstance(data, dict) or "product_id" not in data or "quantity" not in data:
        raise RefusedError(400, "product_id and quantity are required", kind="field-missing")
    product_id, quantity = data["product_id"], data["quantity"]
    # `type`, because isinstance takes true for 1.
    if type(product_id) is not int or type(quantity) is not int:
        raise RefusedError(422, "product_id and quantity must be JSON integers", kind="field-type")
    if quantity <= 0:
        raise RefusedError(400, "quantity must be positive", kind="quantity")
    return OrderRequest(
        product_id=product_id, quantity=quantity, order_key=order_key, attempt_id=attempt_id
    )


def load_key_to_find(request: Request) -> str:
    """Return the one order key that a GET names. Raises RefusedError (400)."""
    keys = request.args.getlist("order_key")
    if len(keys) != 1 or not TAG.fullmatch(keys[0]):
        raise RefusedError(
            400, "give one order_key of 1 to 200 printable ASCII characters", kind="query"
        )
    return keys[0]


def _load_body(request: Request) -> bytes:
    try:
        body = request.get_data(cache=False)
    except (OSError, ParseException) as error:  # chunks that make no sense, or do not end
        raise ClientDisconnected from error
    # Werkzeug refuses by Content-Length, but silently cuts a body that comes in chunks.
    if request.content_length is None and len(body) == request.max_content_length:
        raise RequestEntityTooLarge
    # Nor does it mind one whose sender went away: what is left of it may be an order still.
    if len(body) < (request.content_length or 0):
        raise ClientDisconnected
    return body


def _check_tag(name: str, value: str | None) -> str | None:
    if value is not None and not TAG.fullmatch(value):
        raise RefusedError(
            400, f"{name} must be 1 to 200 printable ASCII characters", kind="bad-header"
        )
    return value


def _parse(body: bytes) -> object:
    try:
        # As json.loads: UTF-8, or what its first bytes say.
        return DECODER.decode(body.decode(json.detect_encoding(body)))
    except (ValueError, RecursionError):
        # ValueError is bad syntax, bad encoding and numbers of thousands of digits alike.
        raise RefusedError(400, "the body is not valid JSON", kind="bad-json") from None
