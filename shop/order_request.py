"""From an HTTP request to an OrderRequest. Strict: what is not exactly an order is refused."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from shop.errors import RefusedError
from shop.placement import OrderRequest


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
    RequestEntityTooLarge.
    """
    # Read before anything is refused, so that no answer leaves a body on the wire.
    body = _load_body(request)
    order_key = _load_tag(request, "Idempotency-Key")
    attempt_id = _load_tag(request, "X-Request-Id")
    if requires_key and order_key is None:
        raise RefusedError(400, "an Idempotency-Key header is required", kind="key-missing")
    if not request.is_json:
        raise RefusedError(
            415,
            "the body must be sent as Content-Type: application/json",
            kind="unsupported-media-type",
        )
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
    body = request.get_data(cache=False)
    # Werkzeug refuses by Content-Length, but silently cuts a body that comes in chunks.
    if request.content_length is None and len(body) == request.max_content_length:
        raise RequestEntityTooLarge
    return body


def _load_tag(request: Request, name: str) -> str | None:
    value: str | None = request.headers.get(name)
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
