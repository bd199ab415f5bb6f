"""Orders that Flask never sees are answered, counted and logged as those that it does."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

pytestmark = pytest.mark.lab

MakeShop = Callable[..., Flask]
PLAIN = "application/json"
NOT_PLAIN = "application/json; charset=utf-8"


def post(client: FlaskClient, media_type: str, order: Any, **headers: str) -> TestResponse:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/orders", data=json.dumps(order), content_type=media_type, headers=given)


def shape(answer: TestResponse) -> tuple[int, list[tuple[str, str]], dict[str, Any]]:
    """An answer without what differs from one order to the next."""
    body = answer.get_json()
    for name in ("order_id", "created_at"):
        body.pop(name, None)
    varying = {"Content-Length", "Idempotency-Key"}
    headers = sorted((name, value) for name, value in answer.headers if name not in varying)
    return answer.status_code, headers, body


ORDERS: list[Any] = [
    {"product_id": 1, "quantity": 1},
    {"product_id": 1, "quantity": 1_000},
    {"product_id": 11, "quantity": 1},
    {"product_id": 2**70, "quantity": 2**70},
    {"product_id": True, "quantity": 1},
    {"product_id": 1, "quantity": 0},
    {"product_id": 1},
    "no order",
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_both_ways_answer_alike(make_shop: MakeShop, order: Any) -> None:
    client = make_shop().test_client()
    answers = [
        shape(post(client, media_type, order, Idempotency_Key=f"key-{n}", X_Request_Id="attempt"))
        for n, media_type in enumerate((PLAIN, NOT_PLAIN))
    ]
    assert answers[0] == answers[1]


def test_a_key_is_the_same_either_way(make_shop: MakeShop) -> None:
    client = make_shop().test_client()
    order = {"product_id": 1, "quantity": 2}
    first, *again = [
        post(client, media_type, order, Idempotency_Key="k", X_Request_Id=f"attempt-{n}")
        for n, media_type in enumerate((PLAIN, NOT_PLAIN, PLAIN))
    ]
    assert [each.headers.get("Idempotency-Replayed") for each in again] == ["true", "true"]
    assert {each.data for each in again} == {first.data}


def test_an_order_is_logged_once_either_way(
    make_shop: MakeShop, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_shop().test_client()
    with caplog.at_level(logging.INFO, logger="shop.requests"):
        for media_type in (PLAIN, NOT_PLAIN):
            for product_id, quantity in ((1, 1), (2, 1_000)):
                order = {"product_id": product_id, "quantity": quantity}
                post(client, media_type, order, X_Request_Id="a")
    lines: list[Any] = [record.msg for record in caplog.records if record.name == "shop.requests"]
    assert [line["status"] for line in lines] == [201, 409] * 2
    assert all(line.pop("duration_ms") >= 0 for line in lines)
    assert lines[:2] == lines[2:]


@pytest.mark.parametrize(
    "strange",
    [{"Host": "a..b"}, {"Connection": "Upgrade", "Upgrade": "websocket"}],
    ids=["host", "upgrade"],
)
def test_an_order_in_doubt_is_never_refused_for_how_it_was_addressed(
    make_shop: MakeShop, wire: Any, strange: dict[str, str]
) -> None:
    client = make_shop(database_url=wire.url, settle_timeout_ms=100).test_client()
    wire.cut_at, wire.is_final = b"\0sell_", True
    headers = {"Idempotency-Key": "k", "X-Request-Id": "attempt-1"} | strange
    body = {"product_id": 3, "quantity": 2}
    answer = client.post("/orders", json=body, headers=headers)
    assert wire.cuts == 1
    assert (answer.status_code, answer.get_json()["outcome"]) == (503, "unknown")
