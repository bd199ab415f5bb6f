"""The seven endpoints answer in the article's shapes."""

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

pytestmark = pytest.mark.lab

Rows = Callable[[str], list[tuple[object, ...]]]


def test_the_service_names_the_server(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.json == {
        "service": "chaos-shop",
        "instance_id": "i-a",
        "availability_zone": "us-east-1a",
        "private_ip": "127.0.0.2",
        "status": "running",
    }


def test_health_is_shallow(client: FlaskClient) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.json) == (200, {"status": "healthy"})


def test_deep_health_measures_the_database(client: FlaskClient) -> None:
    answer = client.get("/health/deep")
    body = answer.get_json()
    assert answer.status_code == 200
    assert list(body) == ["status", "database", "latency_ms"]
    assert (body["status"], body["database"]) == ("healthy", "connected")
    assert body["latency_ms"] > 0


def test_products_are_those_of_the_article(client: FlaskClient) -> None:
    body = client.get("/products").get_json()
    assert list(body) == ["products", "count", "db_latency_ms", "served_by"]
    assert (body["count"], body["served_by"]) == (10, "i-a")
    assert [p["id"] for p in body["products"]] == list(range(1, 11))
    third = {"id": 3, "name": "Mechanical Keyboard", "price": 129.99, "stock": 50}
    assert body["products"][2] == third
    assert client.get("/products/3").get_json() == third


def test_an_order_has_the_shape_of_the_article_and_takes_stock(client: FlaskClient) -> None:
    answer = client.post("/orders", json={"product_id": 3, "quantity": 2})
    body = answer.get_json()
    assert answer.status_code == 201
    created_at = body.pop("created_at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", created_at)
    expected = {
        "order_id": 1,
        "product_id": 3,
        "product_name": "Mechanical Keyboard",
        "quantity": 2,
        "total": 259.98,
        "status": "confirmed",
    }
    assert body == expected | {"served_by": "i-a"}
    assert client.get("/products/3").get_json()["stock"] == 48
    read_back = client.get("/orders/1").get_json()
    assert read_back == expected | {"created_at": created_at}


def test_created_at_keeps_its_fraction_on_a_full_second(client: FlaskClient, rows: Rows) -> None:
    client.post("/orders", json={"product_id": 1, "quantity": 1})
    rows("UPDATE orders SET created_at = '2026-06-17 23:17:01+02'")
    created_at = client.get("/orders/1").get_json()["created_at"]
    assert created_at == "2026-06-17 21:17:01.000000"


def test_more_than_the_stock_is_refused_with_what_is_available(client: FlaskClient) -> None:
    client.post("/orders", json={"product_id": 3, "quantity": 2})
    answer = client.post("/orders", json={"product_id": 3, "quantity": 999})
    assert answer.status_code == 409
    assert answer.get_json() == {
        "error": "insufficient stock",
        "available": 48,
        "requested": 999,
        "type": "tag:chaos-shop.example,2026:insufficient-stock",
        "title": "Not enough in stock",
        "status": 409,
        "detail": "insufficient stock",
        "instance": "/orders",
    }
    assert answer.content_type == "application/problem+json"


def test_unknown_rows_are_not_found(client: FlaskClient) -> None:
    missing = {
        "/products/11": "product not found",
        "/orders/1": "order not found",
        f"/orders/{10**17}": "order not found",
    }
    for path, error in missing.items():
        answer = client.get(path)
        assert (answer.status_code, answer.get_json()["error"]) == (404, error)
