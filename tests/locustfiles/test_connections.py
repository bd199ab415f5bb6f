"""Users' connections: each request once, and no byte sent where we say so.

In a process of its own, because Locust patches the sockets of the one that imports it.
"""

import socket
import subprocess
import sys

import pytest

from tests.locustfiles.load import ROOT
from tests.locustfiles.shop_server import serve

_GET = """
import sys, locust
from locustfiles._fast_client import _SendOncePool
pool = _SendOncePool(connection_timeout=0.5, network_timeout=2, concurrency=10)
try:
    pool.get_client(sys.argv[1]).get("/closes")
except Exception as error:
    print(type(error).__name__, getattr(error, "token", ""))
"""


def _get(url: str) -> str:
    command = [sys.executable, "-c", _GET, url]
    return subprocess.check_output(command, cwd=ROOT, text=True).strip()


def test_refused_connection_is_proved_to_be_one() -> None:
    assert _get("http://127.0.0.1:9/") == "NotConnected connect_refused"


def test_name_that_does_not_resolve_is_proved_to_be_one() -> None:
    assert _get("http://no-such-shop.invalid/") in (
        "NotConnected dns",
        "NotConnected connect_timeout",  # where the resolver is slower than we wait
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the queue's length is Linux' own")
def test_connection_that_hangs_is_a_connect_timeout() -> None:
    with socket.socket() as door, socket.socket() as first:
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        first.connect(door.getsockname())
        port = door.getsockname()[1]
        assert _get(f"http://127.0.0.1:{port}/") == "NotConnected connect_timeout"


def test_request_is_sent_once_although_a_get_may_be_repeated() -> None:
    with serve() as shop:
        shop.misbehave_at_reads = lambda _socket, _arrival: True
        assert _get(shop.url).startswith("HTTPConnectionClosed")
        assert len(shop.arrivals) == 1
