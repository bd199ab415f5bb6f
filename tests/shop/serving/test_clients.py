"""Clients that stall, break off or send nonsense, against the shop as it is started: gunicorn."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from infra.lab.database.postgres import Postgres
from infra.lab.processes.ports import free_port
from tests.shop.serving.test_server import ask, gunicorn, wait_until_healthy
from tests.shop.serving.test_two_servers import drain

pytestmark = pytest.mark.lab

CLIENT_LIMIT_S = 0.5
# One process, with one thread for the database and eight to spare.
THREADS = 9
ORDER = b'{"product_id": 1, "quantity": 1}'

Rows = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def shop_url(postgres_server: Postgres) -> str:
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE clients OWNER shop")
    return urlunsplit(urlsplit(postgres_server.url)._replace(path="/clients"))


@pytest.fixture(scope="module")
def port(shop_url: str) -> Iterator[int]:
    """A server that soon loses its patience."""
    port = free_port()
    environ = {
        "DATABASE_URL": shop_url,
        "SHOP_WORKERS": "1",
        "SHOP_POOL_SIZE": "1",
        "SHOP_WAITING_ROOM": "0",
        "SHOP_CLIENT_TIMEOUT_MS": str(int(CLIENT_LIMIT_S * 1000)),
    }
    with ExitStack() as stack:
        drain(stack.enter_context(gunicorn(port, **environ)), stack)
        wait_until_healthy(port)
        yield port


@pytest.fixture
def count(shop_url: str) -> Iterator[Callable[[], int]]:
    """Count the orders that there are."""
    with psycopg.connect(shop_url, autocommit=True) as connection:
        yield lambda: connection.execute("SELECT FROM orders").rowcount


def head(*lines: bytes, length: int | None = None) -> bytes:
    lengths = () if length is None else (b"Content-Length: %d" % length,)
    first = (b"POST /orders HTTP/1.1", b"Host: shop", b"Content-Type: application/json")
    return b"\r\n".join([*first, *lengths, *lines, b"", b""])


def send(port: int, request: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(request)
    return client


def read_all(client: socket.socket) -> bytes:
    """Return all that is answered until the server closes the connection."""
    answer = b""
    while data := client.recv(65536):
        answer += data
    return answer


def test_clients_that_stall_in_the_middle_of_a_request_do_not_take_health_away(port: int) -> None:
    with ExitStack() as stack:
        for stalling in (b"POST /ord", head(length=99), head(length=99) + b"{", b""):
            for _ in range(THREADS):
                stack.enter_context(send(port, stalling))
        assert ask(port, "/health") == (200, {"status": "healthy"})


def test_a_client_may_take_its_time_before_it_asks_and_between_its_requests(port: int) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: shop\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        for _ in range(2):
            time.sleep(1.5 * CLIENT_LIMIT_S)
            client.sendall(request)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_what_comes_after_a_body_was_given_up_is_not_taken_for_a_request(
    port: int, count: Callable[[], int]
) -> None:
    before = count()
    with send(port, head(length=1000)) as client:
        answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"\r\nConnection: close\r\n" in answer
        try:
            client.sendall(head(length=len(ORDER)) + ORDER)
            rest = read_all(client)
        except ConnectionError:
            rest = b""
        assert b"HTTP/1.1" not in rest
    assert count() == before


@pytest.mark.parametrize("is_chunked", [False, True])
def test_an_order_whose_end_never_came_is_not_placed(
    port: int, count: Callable[[], int], is_chunked: bool
) -> None:
    before = count()
    if is_chunked:
        request = head(b"Transfer-Encoding: chunked") + b"%X\r\n%b\r\n" % (len(ORDER), ORDER)
    else:
        request = head(length=len(ORDER) + 1) + ORDER
    with send(port, request) as client:
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).startswith(b"HTTP/1.1 400 ")
    assert count() == before


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"2\r\n{}xx", b"5;\x01\r\n{}   \r\n"])
def test_chunks_that_make_no_sense_are_the_clients_fault(port: int, chunk: bytes) -> None:
    with send(port, head(b"Transfer-Encoding: chunked") + chunk) as client:
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).startswith(b"HTTP/1.1 400 ")


def test_orders_sent_without_waiting_are_answered_one_by_one(
    port: int, count: Callable[[], int]
) -> None:
    before = count()
    orders = [
        head(b"Idempotency-Key: p%d" % n, b"X-Request-Id: a%d" % n, length=len(ORDER)) + ORDER
        for n in range(3)
    ]
    last = b"GET /health HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
    with send(port, b"".join(orders) + last) as client:
        answers = read_all(client)
    assert answers.count(b"HTTP/1.1 201 ") == 3
    ids = [json.loads(each.partition(b"\r\n\r\n")[2].partition(b"\n")[0])["order_id"]
           for each in answers.split(b"HTTP/1.1 201 ")[1:]]  # fmt: skip
    assert ids == sorted(ids)
    assert answers.endswith(b'{"status":"healthy"}\n')
    assert count() == before + 3
