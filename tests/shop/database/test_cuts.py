"""The connection is cut at each message of an order: the answer is never untrue.

The shop's messages of an order are counted on the wire. Each is once lost before it reaches
the server and once delivered with its answer lost; both where the database can still be
reached on a new connection and where it cannot.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from shop.orders.schema import prepare_database
from shop.settings import Settings
from shop.web import current
from shop.web.app import create_app
from tests.shop.conftest import wait_until_cut_sessions_ended

pytestmark = pytest.mark.lab

Rows = Callable[[str], list[tuple[object, ...]]]
MakeShop = Callable[..., Flask]

ORDER = {"product_id": 3, "quantity": 2}
# With a key and an attempt's id an order is one message, without it two.
NAMED = {"Idempotency-Key": "k", "X-Request-Id": "attempt-1"}
KEYED = {"Idempotency-Key": "k"}
# What an order sends, each in one message, on a connection that is new. The name of a
# prepared statement follows that of its portal, which is empty.
MESSAGES = {
    "connect": (NAMED, b"application_name"),
    "open the session": (NAMED, b"PREPARE"),
    "sell at once": (NAMED, b"\0sell_"),
    "prepare": (KEYED, b"PREPARE"),
    "begin and sell": (KEYED, b"EXECUTE"),
    "commit": (KEYED, b"COMMIT\0"),
}
# Those after which an order may be there, though its answer is lost.
DECIDE = {"sell at once", "commit"}


@pytest.mark.parametrize("is_final", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("is_delivered", [False, True], ids=["lost", "delivered"])
@pytest.mark.parametrize("message", MESSAGES)
def test_an_answer_is_never_untrue(
    make_shop: MakeShop,
    rows: Rows,
    wire: Any,
    database_url: str,
    message: str,
    is_delivered: bool,
    is_final: bool,
) -> None:
    headers, wire.cut_at = MESSAGES[message]
    wire.is_delivered, wire.is_final = is_delivered, is_final
    shop = make_shop(database_url=wire.url, settle_timeout_ms=300)
    answer = shop.test_client().post("/orders", json=ORDER, headers=headers)
    assert wire.cuts == 1
    if is_final:
        wait_until_cut_sessions_ended(database_url)
    # Asking by key, at a server that can, tells the rest.
    other = make_shop(instance_id="i-b").test_client()
    told = other.get("/orders?order_key=k")
    while told.status_code == 409:  # its session has not noticed the cut yet
        told = other.get("/orders?order_key=k")
    body = answer.get_json()
    if answer.status_code == 201:
        assert told.get_json() == body
        assert "Idempotency-Replayed" not in answer.headers
    elif message in DECIDE and is_final:
        assert (answer.status_code, body["outcome"], body["order_key"]) == (503, "unknown", "k")
        assert told.status_code == (200 if is_delivered else 404)
    else:
        assert answer.status_code == 503
        assert "nothing was changed" in body["error"]
        assert "outcome" not in body
        assert told.status_code == 404
    is_there = told.status_code == 200
    assert answer.status_code == 201 or is_final or message == "connect"
    assert rows("SELECT count(*) FROM orders") == [(int(is_there),)]
    assert rows("SELECT stock FROM products WHERE id = 3") == [(48 if is_there else 50,)]
    # The same request again ends it: one order, whatever had become of the first.
    again = other.post("/orders", json=ORDER, headers=headers)
    assert again.status_code == 201
    assert rows("SELECT count(*) FROM orders") == [(1,)]


@pytest.mark.parametrize("is_delivered", [False, True])
def test_a_kept_connection_that_is_cut_costs_nothing(
    make_shop: MakeShop, rows: Rows, wire: Any, is_delivered: bool
) -> None:
    client = make_shop(database_url=wire.url).test_client()
    assert client.post("/orders", json=ORDER, headers=NAMED | {"Idempotency-Key": "1"})
    assert client.post("/orders", json=ORDER).status_code == 201
    for number, cut_at in enumerate((b"EXECUTE", b"COMMIT\0", b"\0sell_")):
        wire.cut_at, wire.is_delivered = cut_at, is_delivered
        headers = NAMED | {"Idempotency-Key": "2"} if number == 2 else {}
        answer = client.post("/orders", json=ORDER, headers=headers)
        assert answer.status_code == 201
        assert "Idempotency-Replayed" not in answer.headers
    assert wire.cuts == 3
    assert rows("SELECT count(*) FROM orders") == [(5,)]
    assert rows("SELECT stock FROM products WHERE id = 3") == [(40,)]


@pytest.mark.parametrize("is_final", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("is_delivered", [False, True], ids=["lost", "delivered"])
def test_on_the_articles_tables_a_commit_without_an_answer_is_found_out_as_well(
    settings: Settings, rows: Rows, wire: Any, is_delivered: bool, is_final: bool
) -> None:
    article = dataclasses.replace(settings, schema="article", settle_timeout_ms=300)
    prepare_database(article)
    shop = create_app(dataclasses.replace(article, database_url=wire.url))
    wire.cut_at, wire.is_delivered, wire.is_final = b"COMMIT\0", is_delivered, is_final
    answer = shop.test_client().post("/orders", json=ORDER, headers=NAMED)
    assert wire.cuts == 1
    if is_final:
        wait_until_cut_sessions_ended(settings.database_url)
    found = rows("SELECT id, quantity FROM orders")
    assert rows("SELECT stock FROM products WHERE id = 3") == [(50 - 2 * len(found),)]
    if is_final:
        assert (answer.status_code, answer.get_json()["outcome"]) == (503, "unknown")
        assert len(found) == is_delivered
    else:
        assert answer.status_code == 201
        assert found == [(answer.get_json()["order_id"], 2)]
    with shop.app_context():
        current.pool().close_idle()
