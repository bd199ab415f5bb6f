"""Orders through the real Locust to a server that misbehaves in every way it knows.

One run meets them all in turn; the server knows which attempt met which, and what it committed.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analysis.records import AttemptEnded, Outcome
from tests.locustfiles.load import Load, Locust
from tests.locustfiles.shop_server import Arrival, Shop, reply, reset, serve

pytestmark = pytest.mark.slow

A, R, I = Outcome.ACKNOWLEDGED, Outcome.REJECTED, Outcome.INDETERMINATE  # noqa: E741


def _answer(status: str, *headers: str, **changes: object) -> Callable[..., None]:
    """Answer with our order's JSON, with changes; None removes a field."""

    def act(connection: socket.socket, arrival: Arrival) -> None:
        whole = {"order_id": 7, **json.loads(arrival.body), **changes}
        kept = {key: value for key, value in whole.items() if value is not None}
        connection.sendall(reply(status, json.dumps(kept).encode(), *headers))

    return act


def _raw(*parts: bytes, pause_s: float = 0.0) -> Callable[..., None]:
    def act(connection: socket.socket, arrival: Arrival) -> None:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)

    return act


def _stay_silent(connection: socket.socket, arrival: Arrival) -> None:
    time.sleep(3)


def _reset(connection: socket.socket, arrival: Arrival) -> None:
    reset(connection)


_WHOLE = b'{"order_id": 7}'
_CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
_DRIP = [b"HTTP/1.1 201 Created\r\nContent-Length: 15\r\n\r\n", *(bytes([x]) for x in _WHOLE)]

WAYS: dict[str, tuple[Callable[..., None], Outcome, int | None, str]] = {
    "a good reply": (_answer("201 Created"), A, 201, ""),
    "a 100 before it": (
        _raw(b"HTTP/1.1 100 Continue\r\n\r\n" + reply("201 Created", _WHOLE)),
        *(A, 201, ""),
    ),
    "another id field": (_answer("201 Created", order_id=None, id=9), A, 201, ""),
    "no order id": (_answer("201 Created", order_id=None), I, 201, "bad_reply"),
    "another product": (_answer("201 Created", product_id=99), I, 201, "bad_reply"),
    "another quantity": (_answer("201 Created", quantity=99), I, 201, "bad_reply"),
    "no JSON": (_raw(reply("201 Created", b"<html>")), I, 201, "bad_reply"),
    "an empty 200": (_raw(reply("200 OK", b"")), I, 200, "bad_reply"),
    "sold out": (_answer("409 Conflict"), R, 409, ""),
    "unprocessable": (_answer("422 Unprocessable Content"), R, 422, ""),
    "forbidden": (_answer("403 Forbidden"), I, 403, ""),
    "500": (_answer("500 Internal Server Error"), I, 500, ""),
    "502 that is no text": (_raw(reply("502 Bad Gateway", b"\xff\xfe\xfa")), I, 502, ""),
    "503": (_answer("503 Service Unavailable"), I, 503, ""),
    "504": (_answer("504 Gateway Timeout"), I, 504, ""),
    "a redirect": (_answer("307 Temporary Redirect", "Location: /orders"), I, 307, ""),
    "a cut 502": (
        _raw(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 50\r\n\r\nx"),
        *(I, 502, "truncated"),
    ),
    "a cut 409": (
        _raw(b"HTTP/1.1 409 Conflict\r\nContent-Length: 50\r\n\r\n{}"),
        *(I, 409, "truncated"),
    ),
    "a cut body": (
        _raw(b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\n" + _WHOLE),
        *(I, 201, "truncated"),
    ),
    "a cut chunk": (_raw(_CHUNKED + b"f\r\n" + _WHOLE + b"\r\n"), I, 201, "truncated"),
    "a cut header": (_raw(b"HTTP/1.1 201 Crea"), I, None, "truncated"),
    "a close": (_raw(), I, None, "closed"),
    "a reset": (_reset, I, None, "reset"),
    "silence": (_stay_silent, I, None, "timeout"),
    "a drip": (_raw(*_DRIP, pause_s=0.2), I, 201, "timeout"),
    "a header that drips": (_raw(*(b"HTTP/1.1 20" for _ in range(9)), pause_s=0.3), I, None, ""),
}


class Tour:
    """One run through all the ways, and which attempt met which."""

    def __init__(self) -> None:
        self.met: dict[str, str] = {}
        self._waiting: list[str] = []

    def misbehave(self, connection: socket.socket, arrival: Arrival) -> bool:
        if not self._waiting:
            self._waiting = list(WAYS)
        way = self._waiting.pop()
        self.met[arrival.headers["x-request-id"]] = way
        WAYS[way][0](connection, arrival)
        return True


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tour, Shop, Locust]]:
    tour, load = Tour(), Load(Path(tmp_path_factory.mktemp("tour")))
    with serve() as shop:
        shop.misbehave = tour.misbehave
        arguments = ("-u", "50", "-t", "5s", "--connect-timeout", "1", "--total-timeout", "1.5")
        locust = load.complete(shop.url, *arguments)
        yield tour, shop, locust
    load.end()


@pytest.mark.parametrize("way", WAYS)
def test_outcome_is_no_more_than_what_was_proved(
    toured: tuple[Tour, Shop, Locust], way: str
) -> None:
    tour, _, locust = toured
    _, outcome, status, error = WAYS[way]
    ended = locust.ended()
    found = {_seen(ended[attempt]) for attempt, met in tour.met.items() if met == way}
    if error or outcome is not I or status is not None:
        assert found == {(outcome, status, error)}
    else:
        assert {(each[0], each[1]) for each in found} == {(outcome, status)}


def test_every_attempt_arrives_once_and_is_in_the_ledger(
    toured: tuple[Tour, Shop, Locust],
) -> None:
    _, shop, locust = toured
    arrived = shop.attempt_ids()
    assert len(arrived) > len(WAYS)
    assert len(arrived) == len(set(arrived))
    assert set(arrived) <= set(locust.sent())
    assert set(locust.ended()) == set(locust.sent())


def test_attempt_that_never_arrived_is_indeterminate_on_a_reused_connection(
    toured: tuple[Tour, Shop, Locust],
) -> None:
    # The server closes after each misbehaviour, and now and then the next order meets that.
    _, shop, locust = toured
    never = set(locust.sent()) - set(shop.attempt_ids())
    assert {locust.ended()[attempt].outcome for attempt in never} <= {I}


def test_failures_have_short_names_in_locusts_statistics(
    toured: tuple[Tour, Shop, Locust],
) -> None:
    names = {row["Error"] for row in toured[2].table("locust_failures.csv")}
    assert {"502 Bad Gateway", "504 Gateway Timeout", "timeout", "reset", "bad_reply"} <= names
    assert not any("409" in name for name in names)


def _seen(ended: AttemptEnded) -> tuple[Outcome, int | None, str]:
    return ended.outcome, ended.http_status, ended.error
