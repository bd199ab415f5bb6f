"""Idempotency keys as in the IETF draft, what can be asked by key, and shops that keep none."""

import time
from collections.abc import Callable
from decimal import Decimal

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from shop.errors import SettingsError
from shop.orders.schema import prepare_database
from shop.settings import Settings, load_settings
from shop.web import current
from shop.web.app import create_app

Rows = Callable[[str], list[tuple[object, ...]]]
MakeShop = Callable[..., Flask]

ORDER = {"product_id": 3, "quantity": 2}
KEY = {"Idempotency-Key": "k"}


@pytest.mark.lab
def test_a_key_is_required_where_that_is_set(make_shop: MakeShop, rows: Rows) -> None:
    client = make_shop(require_key=True).test_client()
    answer = client.post("/orders", json=ORDER)
    assert (answer.status_code, answer.get_json()["error"]) == (
        400,
        "an Idempotency-Key header is required",
    )
    assert rows("SELECT count(*) FROM orders") == [(0,)]
    assert client.post("/orders", json=ORDER, headers=KEY).status_code == 201


@pytest.mark.lab
def test_a_key_whose_first_request_stays_in_progress_is_refused_within_the_lock_timeout(
    make_shop: MakeShop, database_url: str, rows: Rows
) -> None:
    # Nothing else ends before, however busy the machine is.
    limits = dict.fromkeys(("statement_timeout_ms", "request_timeout_ms"), 20_000)
    client = make_shop(lock_timeout_ms=300, **limits).test_client()
    with psycopg.connect(database_url) as first:
        # As the first request's transaction does, seen from here.
        first.execute("SELECT pg_advisory_xact_lock(hashtextextended('k', 0))")
        started = time.monotonic()
        answer = client.post("/orders", json=ORDER, headers=KEY)
        assert time.monotonic() - started > 0.25
        told = client.get("/orders?order_key=k")
        first.rollback()
    assert answer.status_code == told.status_code == 409
    assert answer.get_json()["type"].endswith(":key-in-progress")
    assert answer.headers["Retry-After"] == told.headers["Retry-After"] == "1"
    assert rows("SELECT count(*) FROM orders") == [(0,)]
    assert client.post("/orders", json=ORDER, headers=KEY).status_code == 201


@pytest.mark.lab
def test_a_product_that_is_locked_is_no_key_in_progress(
    make_shop: MakeShop, database_url: str
) -> None:
    client = make_shop(lock_timeout_ms=300).test_client()
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM products WHERE id = 3 FOR UPDATE")
        answer = client.post("/orders", json=ORDER, headers=KEY)
        other.rollback()
    assert (answer.status_code, answer.get_json()["status"]) == (503, 503)
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.lab
def test_an_order_is_found_by_its_key(client: FlaskClient, rows: Rows) -> None:
    assert client.get("/orders?order_key=k").status_code == 404
    placed = client.post("/orders", json=ORDER, headers=KEY)
    found = client.get("/orders?order_key=k")
    assert (found.status_code, found.get_json()) == (200, placed.get_json())
    assert rows("SELECT count(*) FROM orders") == [(1,)]


@pytest.mark.lab
@pytest.mark.parametrize(
    "query",
    ["", "order_key=", "order_key=a&order_key=b", "order_key=%00", f"order_key={'x' * 201}"],
)
def test_a_query_that_names_no_one_key_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/orders?{query}")
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")


@pytest.mark.lab
def test_on_the_articles_tables_everything_works_but_keys(settings: Settings, rows: Rows) -> None:
    article = Settings(
        database_url=settings.database_url, instance_id="i-a", schema="article", stock_factor=2
    )
    prepare_database(article)
    prepare_database(article)  # tables that are there already are taken as they are
    client = create_app(article).test_client()
    answers = [client.post("/orders", json=ORDER, headers=KEY) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert [answer.get_json()["order_id"] for answer in answers] == [1, 2]
    assert answers[0].headers["Idempotency-Ignored"] == "true"
    body = answers[0].get_json()
    assert body.pop("served_by") == "i-a"
    assert client.get("/orders/1").get_json() == body
    assert rows("SELECT id, product_id, quantity, total, status FROM orders") == [
        (number, 3, 2, Decimal("259.98"), "confirmed") for number in (1, 2)
    ]
    assert rows("SELECT stock FROM products WHERE id = 3") == [(96,)]
    assert client.get("/orders?order_key=k").status_code == 400
    assert client.post("/orders", json={"product_id": 3, "quantity": 97}).status_code == 409
    assert client.get("/products/3").get_json()["stock"] == 96
    with client.application.app_context():
        current.pool().close_idle()


def test_keys_cannot_be_required_of_tables_that_keep_none() -> None:
    environ = {
        "DATABASE_URL": "postgresql://shop@db/shop",
        "SHOP_SCHEMA": "article",
        "SHOP_REQUIRE_KEY": "1",
    }
    with pytest.raises(SettingsError, match="drop one of them"):
        load_settings(environ)


@pytest.mark.parametrize(("name", "value"), [("SHOP_SCHEMA", "mine"), ("SHOP_REQUIRE_KEY", "yes")])
def test_a_setting_that_is_none_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is '{value}': set it to"):
        load_settings({"DATABASE_URL": "postgresql://shop@db/shop", name: value})
