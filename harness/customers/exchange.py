"""One request and its reply, sent once and within the total timeout, whatever the client library.

A library's part is a `Client` (`_fast_client.py`, `_requests_client.py`). Whatever goes wrong, its
connections are dropped: what still comes on one of them must never answer a later request.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import field
from http import HTTPStatus
from typing import Protocol, TypeVar

import gevent

from analysis.evidence.ledger.line_records import frequent
from harness.customers.outcome import connect_token, json_object
from harness.errors import NotConnected, ReplyTooLong

_LARGEST_HEAD_BYTES = 256 * 2**10
_LARGEST_REPLY_BYTES = 16 * 2**20
_BREATHE_EVERY_BYTES = 64 * 2**10
Socket = TypeVar("Socket")


@frequent
class Request:
    """What is sent; `name` is what it is counted under."""

    method: str
    path: str
    name: str
    headers: Mapping[str, str]
    body: str | None = None


@frequent
class Received:
    """What a client library has of a reply; `response` is its own object, for Locust's listeners.

    `status` is None when no status line came; `failure` is what cut the exchange short.
    """

    status: int | None = None
    body: bytes = b""
    failure: BaseException | None = None
    response: object = None


@frequent
class Reply:
    """What came back: `body` if it is whole, and the JSON object `found` in it if it is one.

    `status` is None when no status line came; `failure` is what cut the exchange short, and
    `counted` what Locust's `request` event says of it.
    """

    status: int | None
    body: bytes
    failure: BaseException | None
    found: dict[str, object]
    counted: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def is_ok(self) -> bool:
        """Whether it is a whole 200."""
        return self.failure is None and self.status == HTTPStatus.OK

    def header(self, name: str) -> str:
        """Return a header of a whole reply; of one that came more than once the first."""
        headers = getattr(self.counted.get("response"), "headers", None)
        if self.failure is not None or not headers:
            return ""
        value = headers.get(name, "")
        return str(value[0] if isinstance(value, list) else value)


class Intake:
    """Bounds what one reply may bring, and lets timers run meanwhile.

    Reading bytes that are always there already never waits, and gevent only looks at its timers
    while somebody waits: a flood would outlast every timeout and stop all users.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._breathed_at = 0

    def take(self, size: int, *, is_head: bool) -> None:
        """Count `size` bytes more; ReplyTooLong."""
        self._bytes += size
        if self._bytes > (_LARGEST_HEAD_BYTES if is_head else _LARGEST_REPLY_BYTES):
            raise ReplyTooLong(f"the reply is longer than {self._bytes} bytes")
        if self._bytes - self._breathed_at > _BREATHE_EVERY_BYTES:
            self._breathed_at = self._bytes
            gevent.sleep(0)


class Client(Protocol):
    """A client library that sends a request once, follows nothing, and proves its connecting."""

    def send(self, request: Request) -> Received:
        """Send and read; NotConnected, and only that, says that no byte of it was sent."""

    def drop(self) -> None:
        """Close all connections; the next request makes a new one."""


def exchange(client: Client, request: Request, *, total_timeout_s: float) -> Reply:
    """Send one request and read its reply, all within the total timeout."""
    began_at, began = time.time(), time.perf_counter()
    received = _receive(client, request, total_timeout_s)
    took_ms = (time.perf_counter() - began) * 1000
    is_whole = received.failure is None
    body = received.body if is_whole else b""
    return Reply(
        status=received.status,
        body=body,
        failure=received.failure,
        found=json_object(body),
        counted={
            "request_type": request.method,
            "name": request.name,
            "response_time": took_ms,
            "response_length": len(body),
            "response": received.response,
            "start_time": began_at,
            "url": request.path,
        },
    )


def connect_within(seconds: float, connect: Callable[[], Socket]) -> Socket:
    """Let `connect` take `seconds` in all, addresses and TLS included, or raise NotConnected.

    Nothing of a request may be written before this has returned.
    """
    limit = gevent.Timeout(seconds)
    limit.start()
    try:
        return connect()
    except gevent.Timeout as timeout:
        if timeout is not limit:
            raise
        message = f"no connection within {seconds:g} s"
        raise NotConnected("connect_timeout", message) from timeout
    except Exception as error:
        raise NotConnected(connect_token(error), str(error)) from error
    finally:
        limit.close()


def _receive(client: Client, request: Request, total_timeout_s: float) -> Received:
    limit = gevent.Timeout(total_timeout_s)
    limit.start()
    is_usable = False
    try:
        received = client.send(request)
        is_usable = received.failure is None
    except gevent.Timeout as timeout:
        received = Received(failure=timeout)
    except Exception as error:  # noqa: BLE001 -- what a reply can make a client raise is open
        received = Received(failure=error)
    finally:
        limit.close()
        if not is_usable:
            client.drop()
    if isinstance(received.failure, gevent.Timeout) and received.failure is not limit:
        raise received.failure  # somebody else's
    return received
