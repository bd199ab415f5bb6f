"""Users' connections: each request once, and no byte sent where we say so.

In a process of its own, because Locust patches the sockets of the one that imports it.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness.programs import output_of
from tests.harness.shop_server import Shop, serve

_GET = """
import sys, locust
from harness.customers.fast_client import _SendOncePool
for url in sys.argv[1:]:
    pool = _SendOncePool(connection_timeout=0.5, network_timeout=2, concurrency=10)
    try:
        pool.get_client(url).get("/closes")
    except Exception as error:
        print(type(error).__name__, getattr(error, "token", ""))
"""


@contextmanager
def _full_queue() -> Iterator[str]:
    """Where a connection hangs: nobody accepts, and there is no room to wait."""
    with socket.socket() as door, socket.socket() as first:
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        first.connect(door.getsockname())
        yield f"http://127.0.0.1:{door.getsockname()[1]}/"


@pytest.fixture(scope="module")
def closing() -> Iterator[Shop]:
    """A shop that closes every connection without an answer."""
    with serve() as shop:
        shop.misbehave_at_reads = lambda _socket, _arrival: True
        yield shop


@pytest.fixture(scope="module")
def told(closing: Shop) -> dict[str, str]:
    """What one GET at each place comes to."""
    with _full_queue() as full:
        urls = {
            "refuses": "http://127.0.0.1:9/",
            "has no name": "http://no-such-shop.invalid/",
            "hangs": full,
            "closes": closing.url,
        }
        lines = output_of(_GET, *urls.values()).splitlines()
    return dict(zip(urls, lines, strict=True))


def test_refused_connection_is_proved_to_be_one(told: dict[str, str]) -> None:
    assert told["refuses"] == "NotConnected connect_refused"


def test_name_that_does_not_resolve_is_proved_to_be_one(told: dict[str, str]) -> None:
    assert told["has no name"] in (
        "NotConnected dns",
        "NotConnected connect_timeout",  # where the resolver is slower than we wait
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the queue's length is Linux' own")
def test_connection_that_hangs_is_a_connect_timeout(told: dict[str, str]) -> None:
    assert told["hangs"] == "NotConnected connect_timeout"


def test_request_is_sent_once_although_a_get_may_be_repeated(
    told: dict[str, str], closing: Shop
) -> None:
    assert told["closes"].startswith("HTTPConnectionClosed")
    assert len(closing.arrivals) == 1
