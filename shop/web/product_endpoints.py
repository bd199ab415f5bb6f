"""GET /products and /products/{id}: straight from the database every time, no cache."""

import time

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from shop.errors import RefusedError
from shop.orders.catalog import Product, find_product, load_products
from shop.web import current

blueprint = Blueprint("products", __name__)


@blueprint.get("/products")
def list_products() -> ResponseReturnValue:
    """All products by id, how long the database took, and which server asked it."""
    started = time.perf_counter()
    products = load_products(current.database())
    db_latency_ms = round((time.perf_counter() - started) * 1000, 2)
    return jsonify(
        products=[_render(product) for product in products],
        count=len(products),
        db_latency_ms=db_latency_ms,
        served_by=current.settings().instance_id,
    )


@blueprint.get("/products/<row_id:product_id>")
def show_product(product_id: int) -> ResponseReturnValue:
    """One product: id, name, price, stock."""
    product = find_product(current.database(), product_id)
    if product is None:
        raise RefusedError(404, "product not found", kind="not-found")
    return jsonify(_render(product))


def _render(product: Product) -> dict[str, int | str | float]:
    return {
        "id": product.id,
        "name": product.name,
        # A JSON number as in the article; the exact decimal stays in the database.
        "price": float(product.price),
        "stock": product.stock,
    }
