"""Nothing is acknowledged, rejected or unsent without proof."""

import errno
import json
from dataclasses import replace
from socket import gaierror

import pytest
import requests.exceptions
import urllib3.exceptions
from gevent import GreenletExit, Timeout
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from geventhttpclient.useragent import RetriesExceeded
from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.answers import cause_of_doubt, names_order_oddly, was_answered
from analysis.evidence.records import Outcome
from harness.customers.catalogue import ids_of, why_none, wrong_with_products
from harness.customers.exchange import Reply
from harness.customers.outcome import (
    Conclusion,
    conclude,
    connect_token,
    failure_name,
    json_object,
)
from harness.errors import NotConnected

PROVEN_REJECTIONS = {400, 404, 405, 409, 413, 415, 422, 429}
POOL = urllib3.HTTPConnectionPool("shop")


def _conclude(
    status: int | None = None, body: bytes = b"", failure: BaseException | None = None
) -> Conclusion:
    return conclude(
        status=status, body=body, failure=failure, product_id=3, quantity=2, order_key="k"
    )


def _max_retries(reason: Exception) -> requests.exceptions.ConnectionError:
    return requests.exceptions.ConnectionError(
        urllib3.exceptions.MaxRetryError(POOL, "/orders", reason)
    )


def _refused() -> urllib3.exceptions.NewConnectionError:
    error = urllib3.exceptions.NewConnectionError(POOL, "refused")  # type: ignore[arg-type]
    error.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    return error


FAILURES: list[tuple[BaseException, Outcome, str]] = [
    (NotConnected("connect_refused", ""), Outcome.UNSENT, "connect_refused"),
    (NotConnected("dns", ""), Outcome.UNSENT, "dns"),
    # Of another's making: whether it is about this request's connection is not known.
    (requests.exceptions.ConnectTimeout(), Outcome.INDETERMINATE, "timeout"),
    (_max_retries(_refused()), Outcome.INDETERMINATE, "timeout"),
    (
        ConnectionRefusedError(errno.ECONNREFUSED, ""),
        Outcome.INDETERMINATE,
        "ConnectionRefusedError",
    ),
    (TimeoutError("timed out"), Outcome.INDETERMINATE, "timeout"),
    (Timeout(5), Outcome.INDETERMINATE, "timeout"),
    (RetriesExceeded("/", 0, original=Timeout(5)), Outcome.INDETERMINATE, "timeout"),
    (ConnectionResetError(errno.ECONNRESET, ""), Outcome.INDETERMINATE, "reset"),
    (BrokenPipeError(errno.EPIPE, ""), Outcome.INDETERMINATE, "reset"),
    (HTTPConnectionClosed("closed"), Outcome.INDETERMINATE, "closed"),
    (HTTPParseError("half"), Outcome.INDETERMINATE, "truncated"),
    (requests.exceptions.ReadTimeout(), Outcome.INDETERMINATE, "timeout"),
    (requests.exceptions.ChunkedEncodingError(), Outcome.INDETERMINATE, "truncated"),
    (GreenletExit(), Outcome.INDETERMINATE, "in_flight_at_stop"),
    (KeyError("?"), Outcome.INDETERMINATE, "KeyError"),
]


def _name(value: object) -> str:
    """The same in every process, unlike a Timeout's own."""
    return f"{type(value).__name__} {value}"


@pytest.mark.parametrize(("failure", "outcome", "token"), FAILURES, ids=_name)
def test_failure_without_a_reply_proves_only_what_it_says(
    failure: BaseException, outcome: Outcome, token: str
) -> None:
    assert _conclude(failure=failure) == Conclusion(outcome=outcome, error=token)


@given(
    status=st.integers(100, 599),
    failure=st.sampled_from([failure for failure, _, _ in FAILURES]),
    body=st.binary(max_size=50),
)
def test_reply_that_was_cut_short_is_indeterminate(
    status: int, failure: BaseException, body: bytes
) -> None:
    assert _conclude(status, body, failure).outcome is Outcome.INDETERMINATE


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_refusal_of_something_earlier_is_no_proof(link: str) -> None:
    failure = TimeoutError("timed out")
    setattr(failure, link, NotConnected("connect_refused", "another request's"))
    assert _conclude(failure=failure).outcome is Outcome.INDETERMINATE


_ids = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([])
)


@given(
    status=st.integers(100, 599),
    reply=st.dictionaries(
        st.sampled_from(["order_id", "id", "product_id", "quantity", "served_by", "error"]), _ids
    ),
)
def test_acknowledged_and_rejected_have_their_proof(status: int, reply: dict[str, object]) -> None:
    conclusion = _conclude(status, json.dumps(reply).encode())
    order_id = reply["order_id"] if "order_id" in reply else reply.get("id")
    if conclusion.outcome is Outcome.ACKNOWLEDGED:
        assert 200 <= status < 300
        assert status not in {202, 206, 207}
        assert type(order_id) is int
        assert conclusion.order_id == order_id
        assert reply.get("product_id", 3) == 3
        assert reply.get("quantity", 2) == 2
    elif conclusion.outcome is Outcome.REJECTED:
        assert status in PROVEN_REJECTIONS
    else:
        assert conclusion.outcome is Outcome.INDETERMINATE
        is_bad = 200 <= status < 300 and status not in {202, 206, 207}
        assert conclusion.error.partition(":")[0] == ("bad_reply" if is_bad else "")


@given(status=st.integers(100, 599), body=st.binary(max_size=60))
def test_any_bytes_are_judged_without_a_crash(status: int, body: bytes) -> None:
    outcome = _conclude(status, body).outcome
    if status >= 500 or 300 <= status < 400:
        assert outcome is Outcome.INDETERMINATE


def test_deep_nesting_is_a_bad_reply() -> None:
    assert _conclude(201, b"[" * 200_000).error == f"bad_reply: {NO_OBJECT}"


NO_OBJECT = "no JSON object with each name once"
ODD_NAMINGS = {
    b'{"order_id": 7.0}': "order_id is a decimal instead of a whole number",
    b'{"order_id": true}': "order_id is true or false instead of a whole number",
    b'{"order_id": "123"}': "order_id is a string instead of a whole number",
    b'{"id": "GSDMU"}': "id is a string instead of a whole number",
    b'{"order_id": {"id": 7}}': "order_id is an object instead of a whole number",
    b'{"order_id": 9223372036854775808}': "order_id is out of range",
    b'{"order_id": 0}': "order_id is out of range",
    b'{"order_id": null}': "no order_id",
    b'{"status": "fine"}': "no order_id",
    b'{"order_id": 1%s}' % (b"0" * 5000): NO_OBJECT,
    b'{"order_id": 7, "order_id": 8}': NO_OBJECT,
    b'{"order_id": 7, "order_id": 7}': NO_OBJECT,
    b'{"order_id": 7, "product_id": 4}': "product_id is another than was sent",
    b'{"order_id": 7, "product_id": "3"}': "product_id is a string instead of a whole number",
    b'{"order_id": 7, "quantity": 2.0}': "quantity is a decimal instead of a whole number",
    b'{"order_id": 7, "order_key": "another"}': "order_key is another than was sent",
    b'[{"order_id": 7}]': NO_OBJECT,
    b'{"order_id": 7} {}': NO_OBJECT,
    b"": NO_OBJECT,
}


@pytest.mark.parametrize(("body", "wrong"), ODD_NAMINGS.items(), ids=ODD_NAMINGS.values())
def test_success_that_does_not_name_our_order_for_certain_says_which_field_is_what(
    body: bytes, wrong: str
) -> None:
    conclusion = _conclude(201, body)
    assert conclusion.outcome is Outcome.INDETERMINATE
    assert conclusion.error == f"bad_reply: {wrong}"
    assert conclusion.order_id is None
    assert was_answered(201, conclusion.error)
    assert names_order_oddly(conclusion.error) is wrong.startswith(("order_id", "id"))


@pytest.mark.parametrize("status", [202, 206, 207])
@pytest.mark.parametrize("body", [b'{"order_id": 7}', b'{"job": "x"}', b""])
def test_success_that_promises_no_order_acknowledges_none(status: int, body: bytes) -> None:
    """RFC 9110 15.3.3 calls 202 noncommittal; what it names is recorded, and proves nothing."""
    order_id = 7 if b"7" in body else None
    assert _conclude(status, body) == Conclusion(
        outcome=Outcome.INDETERMINATE, http_status=status, order_id=order_id
    )
    assert cause_of_doubt(status, "") == ("accepted" if status == 202 else str(status))


@pytest.mark.parametrize("status", [200, 201, 203, 226, 299])
def test_any_other_whole_success_that_names_our_order_acknowledges_it(status: int) -> None:
    assert _conclude(status, b'{"order_id": 7}').outcome is Outcome.ACKNOWLEDGED


def test_reply_may_name_what_is_ours() -> None:
    body = b'{"order_id": 7, "product_id": 3, "quantity": 2, "order_key": "k"}'
    assert _conclude(201, body).order_id == 7


def test_connect_errors_have_their_words() -> None:
    no_name = urllib3.exceptions.NameResolutionError("shop", POOL, gaierror())  # type: ignore[arg-type]
    no_name.__cause__ = gaierror()
    assert connect_token(no_name) == "dns"
    assert connect_token(_refused()) == "connect_refused"
    assert connect_token(ConnectionRefusedError()) == "connect_refused"
    assert connect_token(gaierror()) == "dns"
    assert connect_token(TimeoutError()) == "connect_timeout"
    assert connect_token(OSError()) == "OSError"


@pytest.mark.parametrize(
    ("conclusion", "name"),
    [
        (Conclusion(outcome=Outcome.ACKNOWLEDGED, http_status=201), ""),
        (Conclusion(outcome=Outcome.INDETERMINATE, http_status=202), ""),
        (Conclusion(outcome=Outcome.INDETERMINATE, http_status=202, error="timeout"), "timeout"),
        (Conclusion(outcome=Outcome.REJECTED, http_status=409), ""),
        (Conclusion(outcome=Outcome.INDETERMINATE, http_status=409, error="timeout"), "timeout"),
        (Conclusion(outcome=Outcome.REJECTED, http_status=404), "404 Not Found"),
        (Conclusion(outcome=Outcome.INDETERMINATE, http_status=502), "502 Bad Gateway"),
        (Conclusion(outcome=Outcome.INDETERMINATE, http_status=599), "599"),
        (Conclusion(outcome=Outcome.INDETERMINATE, error="timeout"), "timeout"),
    ],
)
def test_sold_out_is_no_failure_and_others_have_names(conclusion: Conclusion, name: str) -> None:
    assert failure_name(conclusion) == name


LISTS_OF_PRODUCTS = {
    b'[{"id": 1}]': "a list",
    b"<html>": "no JSON",
    b'"x"': "a string",
    b'{"items": []}': "an object without products",
    b'{"products": {"1": {}}}': "an object as products",
    b'{"products": ["mug"]}': "a string as the first of products",
    b'{"products": [{"id": "7"}]}': "a string as id",
    b'{"products": [{"sku": 7}]}': "products without id",
}


@pytest.mark.parametrize(
    ("body", "found"), LISTS_OF_PRODUCTS.items(), ids=LISTS_OF_PRODUCTS.values()
)
def test_products_in_another_form_are_said_to_be_so(body: bytes, found: str) -> None:
    reply = Reply(status=200, body=body, failure=None, found=json_object(body))
    assert ids_of(reply) == []
    assert wrong_with_products(reply) == why_none(reply)
    expected = "expected an object with products, a list of objects with a whole number as id"
    assert why_none(reply) == f"{expected}; got {found}"


def test_no_products_is_an_answer_and_still_a_reason() -> None:
    reply = Reply(status=200, body=b'{"products": []}', failure=None, found={"products": []})
    assert wrong_with_products(reply) == ""
    assert why_none(reply).endswith("got an empty list")
    busy = replace(reply, status=503)
    assert (wrong_with_products(busy), why_none(busy)) == ("", "")
