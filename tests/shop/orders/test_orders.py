"""Orders are placed exactly once per key and never beyond the stock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from flask import Flask
from flask.testing import FlaskClient

pytestmark = pytest.mark.lab

Rows = Callable[[str], list[tuple[object, ...]]]
MakeShop = Callable[..., Flask]


def test_key_attempt_and_server_are_stored_with_the_order(client: FlaskClient, rows: Rows) -> None:
    headers = {"Idempotency-Key": "key-1", "X-Request-Id": "attempt-1"}
    client.post("/orders", json={"product_id": 4, "quantity": 3}, headers=headers)
    stored = rows(
        "SELECT product_id, quantity, total, status, order_key, attempt_id, served_by FROM orders"
    )
    assert stored == [(4, 3, Decimal("1049.97"), "confirmed", "key-1", "attempt-1", "i-a")]


def test_key_and_attempt_are_optional(client: FlaskClient, rows: Rows) -> None:
    for _ in range(2):
        client.post("/orders", json={"product_id": 1, "quantity": 1})
    assert rows("SELECT order_key, attempt_id FROM orders") == [(None, None)] * 2


def test_same_key_again_returns_the_first_order(make_shop: MakeShop, rows: Rows) -> None:
    body = {"product_id": 3, "quantity": 2}
    first = (
        make_shop()
        .test_client()
        .post("/orders", json=body, headers={"Idempotency-Key": "k", "X-Request-Id": "attempt-1"})
    )
    again = (
        make_shop(instance_id="i-b")
        .test_client()
        .post("/orders", json=body, headers={"Idempotency-Key": "k", "X-Request-Id": "attempt-2"})
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.data == again.data
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert rows("SELECT attempt_id, served_by FROM orders") == [("attempt-1", "i-a")]
    assert rows("SELECT stock FROM products WHERE id = 3") == [(48,)]


def test_same_key_returns_an_order_that_took_the_last_piece(client: FlaskClient) -> None:
    headers = {"Idempotency-Key": "k"}
    first = client.post("/orders", json={"product_id": 4, "quantity": 30}, headers=headers)
    again = client.post("/orders", json={"product_id": 4, "quantity": 30}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.data == again.data


@pytest.mark.parametrize(
    "other", [{"product_id": 3, "quantity": 1}, {"product_id": 2, "quantity": 2}]
)
def test_same_key_for_another_order_is_refused(
    client: FlaskClient, rows: Rows, other: dict[str, int]
) -> None:
    headers = {"Idempotency-Key": "k"}
    client.post("/orders", json={"product_id": 3, "quantity": 2}, headers=headers)
    answer = client.post("/orders", json=other, headers=headers)
    assert answer.status_code == 422
    assert rows("SELECT product_id, quantity FROM orders") == [(3, 2)]
    assert rows("SELECT id, stock FROM products WHERE id IN (2, 3) ORDER BY id") == [
        (2, 150),
        (3, 48),
    ]


def test_a_refused_order_leaves_its_key_free(client: FlaskClient) -> None:
    headers = {"Idempotency-Key": "k"}
    refused = client.post("/orders", json={"product_id": 4, "quantity": 31}, headers=headers)
    placed = client.post("/orders", json={"product_id": 4, "quantity": 30}, headers=headers)
    assert (refused.status_code, placed.status_code) == (409, 201)


def test_one_key_at_once_on_two_servers_makes_one_order(make_shop: MakeShop, rows: Rows) -> None:
    shops = [make_shop(), make_shop(instance_id="i-b")]

    def order(attempt: int) -> tuple[int, bytes]:
        answer = (
            shops[attempt % 2]
            .test_client()
            .post(
                "/orders",
                json={"product_id": 3, "quantity": 2},
                headers={"Idempotency-Key": "k", "X-Request-Id": f"attempt-{attempt}"},
            )
        )
        return answer.status_code, answer.data

    with ThreadPoolExecutor(20) as threads:
        answers = set(threads.map(order, range(20)))
    assert len(answers) == 1
    assert answers.pop()[0] == 201
    assert rows("SELECT count(*) FROM orders") == [(1,)]
    assert rows("SELECT stock FROM products WHERE id = 3") == [(48,)]


def test_one_key_at_once_for_two_products_makes_one_order(make_shop: MakeShop, rows: Rows) -> None:
    shop = make_shop()

    def order(number: int) -> tuple[int, int]:
        product_id, key = number % 2 + 1, f"key-{number // 2}"
        answer = shop.test_client().post(
            "/orders",
            json={"product_id": product_id, "quantity": 1},
            headers={"Idempotency-Key": key},
        )
        return number // 2, answer.status_code

    with ThreadPoolExecutor(8) as threads:
        answers = sorted(threads.map(order, range(40)))
    assert answers == [(key, status) for key in range(20) for status in (201, 422)]
    assert rows("SELECT count(*) FROM orders") == [(20,)]
    assert rows("SELECT sum(stock) FROM products WHERE id IN (1, 2)") == [(250 - 20,)]


def test_concurrent_orders_sell_exactly_the_stock(make_shop: MakeShop, rows: Rows) -> None:
    shops = [make_shop(), make_shop(instance_id="i-b")]

    def order(number: int) -> int:
        answer = (
            shops[number % 2].test_client().post("/orders", json={"product_id": 4, "quantity": 1})
        )
        return answer.status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(order, range(60)))
    assert (statuses.count(201), statuses.count(409)) == (30, 30)
    assert rows("SELECT count(*), sum(quantity) FROM orders") == [(30, 30)]
    assert rows("SELECT stock FROM products WHERE id = 4") == [(0,)]


def test_a_total_beyond_its_column_is_refused(client: FlaskClient, rows: Rows) -> None:
    rows("UPDATE products SET stock = 2147483647 WHERE id = 4")
    answer = client.post("/orders", json={"product_id": 4, "quantity": 2**31 - 1})
    assert answer.status_code == 422
    assert rows("SELECT stock FROM products WHERE id = 4") == [(2147483647,)]
