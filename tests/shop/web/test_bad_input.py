"""Bad input is refused in JSON with the right status, does nothing and is never a 5xx."""

import json
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples

pytestmark = pytest.mark.lab

Rows = Callable[[str], list[tuple[object, ...]]]

REQUIRED = "product_id and quantity are required"
INTEGERS = "product_id and quantity must be JSON integers"
SYNTAX = "the body is not valid JSON"
BODIES = {
    "": (400, SYNTAX),
    "{": (400, SYNTAX),
    "\x00": (400, SYNTAX),
    "[" * 16_000: (400, SYNTAX),
    '{"product_id": 1, "quantity": NaN}': (400, SYNTAX),
    '{"product_id": 1, "quantity": ' + "9" * 5_000 + "}": (400, SYNTAX),
    "null": (400, REQUIRED),
    "[]": (400, REQUIRED),
    "3": (400, REQUIRED),
    "{}": (400, REQUIRED),
    '{"product_id": 1}': (400, REQUIRED),
    '{"quantity": 1}': (400, REQUIRED),
    '{"product_id": 1, "quantity": null}': (422, INTEGERS),
    '{"product_id": 1, "quantity": true}': (422, INTEGERS),
    '{"product_id": 1, "quantity": 2.9}': (422, INTEGERS),
    '{"product_id": 1, "quantity": 2.0}': (422, INTEGERS),
    '{"product_id": "1", "quantity": 1}': (422, INTEGERS),
    '{"product_id": "\\u0000", "quantity": 1}': (422, INTEGERS),
    '{"product_id": {}, "quantity": []}': (422, INTEGERS),
    '{"product_id": 1, "quantity": 0}': (400, "quantity must be positive"),
    '{"product_id": 1, "quantity": -1}': (400, "quantity must be positive"),
    '{"product_id": 0, "quantity": 1}': (404, "product not found"),
    '{"product_id": -1, "quantity": 1}': (404, "product not found"),
    '{"product_id": 11, "quantity": 1}': (404, "product not found"),
    '{"product_id": 2147483648, "quantity": 1}': (404, "product not found"),
    '{"product_id": ' + "9" * 4_000 + ', "quantity": 1}': (404, "product not found"),
    '{"product_id": 1, "quantity": 2147483647}': (409, "insufficient stock"),
    '{"product_id": 1, "quantity": 2147483648}': (409, "insufficient stock"),
    '{"product_id": 1, "quantity": ' + "9" * 4_000 + "}": (409, "insufficient stock"),
}


@pytest.mark.parametrize("body", BODIES, ids=[body[:40] for body in BODIES])
def test_a_body_that_is_no_order_is_refused(client: FlaskClient, rows: Rows, body: str) -> None:
    for headers in ({}, {"Idempotency-Key": "k"}):
        answer = client.post("/orders", data=body, content_type="application/json", headers=headers)
        assert (answer.status_code, answer.get_json()["error"]) == BODIES[body]
    assert rows("SELECT count(*) FROM orders") == [(0,)]
    assert rows("SELECT stock FROM products WHERE id = 1") == [(100,)]


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/xml", ";"])
def test_another_content_type_is_unsupported(client: FlaskClient, content_type: str | None) -> None:
    body = '{"product_id": 1, "quantity": 1}'
    answer = client.post("/orders", data=body, content_type=content_type)
    assert answer.status_code == 415
    assert answer.is_json


@pytest.mark.parametrize("has_length", [True, False])
def test_a_body_beyond_16_kib_is_too_large(client: FlaskClient, has_length: bool) -> None:
    body = b'{"product_id": 1, "quantity": 1}' + b" " * 16_384
    answer = client.post(
        "/orders",
        data=body,
        content_type="application/json",
        headers={} if has_length else {"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 413
    assert answer.get_json()["error"] == "request entity too large"


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Request-Id"])
@pytest.mark.parametrize(
    "value", ["", "x" * 201, "a\tb", "ключ".encode().decode("latin-1"), "\x7f"]
)
def test_a_key_that_is_not_short_printable_ascii_is_refused(
    client: FlaskClient, name: str, value: str
) -> None:
    answer = client.post("/orders", json={"product_id": 1, "quantity": 1}, headers={name: value})
    assert answer.status_code == 400
    assert name in answer.get_json()["error"]


def test_a_key_of_200_characters_is_taken(client: FlaskClient) -> None:
    headers = {"Idempotency-Key": "~" * 200, "X-Request-Id": "' OR 1=1 --%s%(x)s"}
    answer = client.post("/orders", json={"product_id": 1, "quantity": 1}, headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/products/abc", "/products/-1", "/products/1.5", "/products/٣", "/orders/%00"]
    + [f"/orders/{'9' * n}" for n in (19, 5_000)],
)
def test_an_unknown_path_is_not_found(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.get_json()["error"]) == (404, "not found")


def test_a_wrong_method_is_not_allowed_and_told_which_is(client: FlaskClient) -> None:
    answer = client.delete("/orders")
    assert (answer.status_code, answer.get_json()["error"]) == (405, "method not allowed")
    assert "POST" in answer.headers["Allow"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
NUMBER = st.integers(-5, 200) | st.integers() | JSON
ORDER = st.fixed_dictionaries({"product_id": NUMBER, "quantity": NUMBER})
TEXT = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=300)


@pytest.fixture
def stocked_client(client: FlaskClient, rows: Rows) -> FlaskClient:
    rows("UPDATE products SET stock = 2000000000")
    return client


@settings(examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=ORDER | JSON, key=st.none() | TEXT, attempt=st.none() | TEXT)
def test_no_json_and_no_header_is_ever_a_server_error(
    stocked_client: FlaskClient, body: object, key: str | None, attempt: str | None
) -> None:
    named = {"Idempotency-Key": key, "X-Request-Id": attempt}
    headers = {name: value for name, value in named.items() if value is not None}
    answer = stocked_client.post(
        "/orders", data=json.dumps(body), content_type="application/json", headers=headers
    )
    assert answer.status_code in {201, 400, 404, 409, 413, 422}
    assert ("error" in answer.get_json()) == (answer.status_code != 201)


@settings(examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), content_type=st.just("application/json") | TEXT)
def test_no_bytes_are_ever_a_server_error(
    client: FlaskClient, body: bytes, content_type: str
) -> None:
    answer = client.post("/orders", data=body, content_type=content_type)
    assert answer.status_code in {400, 415, 422}
    assert answer.get_json()["status"] == answer.status_code
