"""What `/openapi.json` says: the endpoints, and what each of their answers proves."""

from collections.abc import Mapping
from typing import TypeAlias

from shop import __doc__ as _about
from shop.web.problems import MEDIA_TYPE

JSON: TypeAlias = Mapping[str, object]

LARGEST_BIGINT_ID = 10**18 - 1
TAG = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[\x20-\x7e]*$"}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$"}


def _object(optional: Mapping[str, JSON] | None = None, /, **required: JSON) -> JSON:
    return {
        "type": "object",
        "required": list(required),
        "properties": required | dict(optional or {}),
    }


def _ref(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def _text(*values: str) -> dict[str, object]:
    return {"type": "string", "enum": list(values)} if values else {"type": "string"}


NUMBER: JSON = {"type": "number"}
WHOLE: dict[str, object] = {"type": "integer"}

ORDER: dict[str, JSON] = {
    "order_id": WHOLE,
    "product_id": WHOLE,
    "product_name": _text(),
    "quantity": {"type": "integer", "minimum": 1},
    "total": NUMBER,
    "status": _text("confirmed"),
    "created_at": TIME,
}

SCHEMAS: JSON = {
    "Service": _object(
        service=_text(),
        instance_id=_text(),
        availability_zone=_text(),
        private_ip=_text(),
        status=_text(),
    ),
    "Health": _object(status=_text("healthy")),
    "DeepHealth": _object(
        {"error": _text()},
        status=_text("healthy", "unhealthy"),
        database=_text("connected", "read-only", "error"),
        latency_ms=NUMBER,
    ),
    "Product": _object(id=WHOLE, name=_text(), price=NUMBER, stock=WHOLE),
    "Products": _object(
        products={"type": "array", "items": _ref("Product")},
        count=WHOLE,
        db_latency_ms=NUMBER,
        served_by=_text(),
    ),
    "OrderRequest": _object(
        product_id=WHOLE | {"minimum": 1, "maximum": 2**31 - 1},
        quantity=WHOLE | {"minimum": 1, "maximum": 2**31 - 1},
    ),
    "Order": _object(**ORDER),
    "PlacedOrder": _object(**ORDER, served_by=_text()),
    "Problem": _object(
        {
            "available": {"type": "integer", "description": "Pieces left; with a 409."},
            "requested": {"type": "integer", "description": "Pieces wanted; with a 409."},
            "outcome": _text("unknown"),
            "order_key": TAG,
            "attempt_id": TAG,
        },
        error=_text(),
        type=_text() | {"format": "uri-reference"},
        title=_text(),
        status=WHOLE,
        detail=_text(),
        instance=_text() | {"format": "uri-reference"},
    ),
}

NOT_THERE = "There is no such row."
BAD_REQUEST = "A header, the query or the body is not what it should be. Nothing was done."
UNAVAILABLE = "The database is busy or away. Nothing was changed: try again after Retry-After."
PLACED = "The order is in the table. With Idempotency-Replayed, since an earlier request."
REFUSED = {
    400: BAD_REQUEST,
    404: "No such product. Nothing was done.",
    409: "Too few pieces are left, or the key's first request is still at work. Nothing was done.",
    413: "The body is larger than 16 KiB. Nothing was done.",
    415: "The body is not application/json. Nothing was done.",
    422: "A field is of the wrong type, the total too large, or the key names another order. "
    "Nothing was done.",
    503: "`outcome: unknown`: it was sent and the answer lost; GET /orders?order_key= tells, "
    "or the same request with the same key. Without `outcome`: nothing was changed.",
}


def _answer(description: str, schema: str, *, media_type: str = "application/json") -> JSON:
    return {
        "description": description,
        "headers": {"X-Request-Id": {"schema": TAG, "description": "The request's own, or ours."}},
        "content": {media_type: {"schema": _ref(schema)}},
    }


def _problems(descriptions: Mapping[int, str]) -> dict[str, JSON]:
    return {
        str(status): _answer(text, "Problem", media_type=MEDIA_TYPE)
        for status, text in descriptions.items()
    }


def _get(
    summary: str, schema: str, problems: Mapping[int, str] | None = None, **more: object
) -> dict[str, object]:
    answers = {"200": _answer("As asked.", schema)} | _problems(problems or {})
    return {"summary": summary, "responses": answers, **more}


def _parameter(name: str, place: str, schema: JSON, description: str) -> JSON:
    return {
        "name": name,
        "in": place,
        "required": True,
        "schema": schema,
        "description": description,
    }


def _header(name: str, description: str) -> JSON:
    return {"name": name, "in": "header", "schema": TAG, "description": description}


def _row_id(name: str) -> JSON:
    schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_BIGINT_ID}
    return _parameter(name, "path", schema, "A row's id.")


def _post_order() -> JSON:
    body = {"required": True, "content": {"application/json": {"schema": _ref("OrderRequest")}}}
    return {
        "summary": "Place an order",
        "operationId": "placeOrder",
        "parameters": [
            _header(
                "Idempotency-Key", "Names the order: repeats of it get the first one's answer."
            ),
            _header("X-Request-Id", "Names this request, and is kept with the order it places."),
        ],
        "requestBody": body,
        "responses": {"201": _answer(PLACED, "PlacedOrder"), **_problems(REFUSED)},
    }


def _plain(summary: str, description: str, media_type: str, kind: str) -> JSON:
    content = {media_type: {"schema": {"type": kind}}}
    return {
        "summary": summary,
        "responses": {"200": {"description": description, "content": content}},
    }


def _deep_health() -> JSON:
    answer = _get("Whether an order could be written now", "DeepHealth")
    unhealthy = _answer("It could not; `latency_ms` is how long that took to find.", "DeepHealth")
    return answer | {"responses": {"200": _answer("It could.", "DeepHealth"), "503": unhealthy}}


def _orders_by_key() -> JSON:
    problems = {
        400: BAD_REQUEST,
        404: "No order has the key so far, and none is being placed. No final no: a request "
        "that has not reached the database yet may still place it.",
        409: "A request with the key is being placed right now: ask again after Retry-After.",
        503: UNAVAILABLE,
    }
    key = _parameter("order_key", "query", TAG, "The Idempotency-Key it was sent with.")
    return _get("What became of an order", "PlacedOrder", problems, parameters=[key])


DESCRIPTION: JSON = {
    "openapi": "3.1.0",
    "info": {
        "title": "Chaos Shop",
        "version": "1.0.0",
        "description": (_about or "").partition("\n")[0],
    },
    "paths": {
        "/": {"get": _get("Which server this is", "Service")},
        "/health": {"get": _get("Whether this server answers at all", "Health")},
        "/health/deep": {"get": _deep_health()},
        "/products": {"get": _get("All products", "Products", {503: UNAVAILABLE})},
        "/products/{product_id}": {
            "get": _get(
                "One product",
                "Product",
                {404: NOT_THERE, 503: UNAVAILABLE},
                parameters=[_row_id("product_id")],
            )
        },
        "/orders": {"post": _post_order(), "get": _orders_by_key()},
        "/orders/{order_id}": {
            "get": _get(
                "One order",
                "Order",
                {404: NOT_THERE, 503: UNAVAILABLE},
                parameters=[_row_id("order_id")],
            )
        },
        "/metrics": {
            "get": _plain(
                "Prometheus metrics of this server's processes",
                "In Prometheus' text format.",
                "text/plain",
                "string",
            )
        },
        "/openapi.json": {
            "get": _plain("This description", "OpenAPI 3.1.", "application/json", "object")
        },
    },
    "components": {"schemas": SCHEMAS},
}
