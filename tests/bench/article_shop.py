"""The article's design, written anew for comparison: `gunicorn tests.bench.article_shop:app`.

Flask in sync workers, pg8000, one connection per worker that is asked SELECT 1 before each
request, and an order as five statements: BEGIN, SELECT FOR UPDATE, UPDATE, INSERT, COMMIT.
Written with care: it does what the article describes, no more and no worse.
"""

import os
from typing import Any
from urllib.parse import urlsplit

import pg8000
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

app = Flask("article_shop")
_place = urlsplit(os.environ["DATABASE_URL"])


class _Kept:
    """The worker's one connection."""

    connection: Any = None


def _connect() -> Any:
    if _Kept.connection is not None:
        try:
            _ask(_Kept.connection, "SELECT 1")
        except (pg8000.Error, OSError):
            _Kept.connection = None
        else:
            return _Kept.connection
    _Kept.connection = pg8000.connect(
        user=_place.username or "",
        password=_place.password,
        host=_place.hostname or "127.0.0.1",
        port=_place.port or 5432,
        database=_place.path[1:],
    )
    _Kept.connection.autocommit = True
    return _Kept.connection


def _ask(connection: Any, query: str, values: tuple[object, ...] = ()) -> Any:
    cursor = connection.cursor()
    try:
        cursor.execute(query, values)
        return cursor.fetchone() if cursor.description else None
    finally:
        cursor.close()


@app.get("/health")
def health() -> ResponseReturnValue:
    """Shallow, as the article's."""
    return jsonify(status="healthy")


@app.post("/orders")
def order() -> ResponseReturnValue:
    """Lock the product, look at its stock, take it, write the order, commit."""
    wanted = request.get_json()
    product_id, quantity = int(wanted["product_id"]), int(wanted["quantity"])
    connection = _connect()
    connection.autocommit = False  # pg8000 sends BEGIN before the next statement
    try:
        answer = _place_order(connection, product_id, quantity)
    except Exception:
        connection.rollback()
        raise
    finally:
        connection.autocommit = True
    return answer


def _place_order(connection: Any, product_id: int, quantity: int) -> ResponseReturnValue:
    product = _ask(
        connection,
        "SELECT id, name, price, stock FROM products WHERE id = %s FOR UPDATE",
        (product_id,),
    )
    if product is None:
        connection.rollback()
        return jsonify(error="product not found"), 404
    _, name, price, stock = product
    if stock < quantity:
        connection.rollback()
        return jsonify(error="insufficient stock", available=stock, requested=quantity), 409
    total = round(float(price) * quantity, 2)
    _ask(connection, "UPDATE products SET stock = stock - %s WHERE id = %s", (quantity, product_id))
    order_id, created_at = _ask(
        connection,
        "INSERT INTO orders (product_id, quantity, total, status)"
        " VALUES (%s, %s, %s, 'confirmed') RETURNING id, created_at",
        (product_id, quantity, total),
    )
    connection.commit()
    body = {
        "order_id": order_id,
        "product_id": product_id,
        "product_name": name,
        "quantity": quantity,
        "total": total,
        "status": "confirmed",
        "created_at": str(created_at),
        "served_by": "article",
    }
    return jsonify(body), 201
