"""The shop's list of products as its customers understand it. Pure."""

import json

from harness.customers.exchange import Reply
from harness.customers.outcome import json_kind

_NONE = "an empty list"  # which is an answer, though nobody can order from it
_EXPECTED = "an object with products, a list of objects with a whole number as id"


def ids_of(reply: Reply) -> list[int]:
    """Return the ids of what can be ordered, those that are whole numbers."""
    products = reply.found.get("products")
    if not isinstance(products, list):
        return []
    ids = [product.get("id") for product in products if isinstance(product, dict)]
    return [each for each in ids if type(each) is int]


def why_none(reply: Reply) -> str:
    """Say why none of the products of a whole 200 can be ordered; empty if some can."""
    if not reply.is_ok or ids_of(reply):
        return ""
    return f"expected {_EXPECTED}; got {_found_in(reply.body)}"


def wrong_with_products(reply: Reply) -> str:
    """Say what a whole 200 holds instead of a list of products; empty if it is one."""
    why = why_none(reply)
    return "" if why.endswith(_NONE) else why


def _found_in(body: bytes) -> str:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return "no JSON"
    if not isinstance(value, dict):
        return json_kind(value)
    if "products" not in value:
        return "an object without products"
    products = value["products"]
    return (
        _first_of(products) if isinstance(products, list) else f"{json_kind(products)} as products"
    )


def _first_of(products: list[object]) -> str:
    if not products:
        return _NONE
    first = products[0]
    if not isinstance(first, dict):
        return f"{json_kind(first)} as the first of products"
    return f"{json_kind(first['id'])} as id" if "id" in first else "products without id"
