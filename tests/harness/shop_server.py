"""A shop of sockets and threads that misbehaves on request, and knows what really reached it."""

import json
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request that the server has read to its end."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]


Misbehave = Callable[[socket.socket, Arrival], bool]


@dataclass(slots=True)
class Shop:
    """The server's own record. `misbehave` may answer an order itself, and then returns True."""

    url: str = ""
    arrivals: list[Arrival] = field(default_factory=list)
    orders: dict[int, dict[str, object]] = field(default_factory=dict)
    misbehave: Misbehave = lambda _socket, _arrival: False
    misbehave_at_reads: Misbehave = lambda _socket, _arrival: False
    latency_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def attempt_ids(self) -> list[str]:
        """The X-Request-Id of every order that was read, in order, repeats included."""
        return [
            arrival.headers["x-request-id"] for arrival in self.arrivals if arrival.method == "POST"
        ]

    def answer(self, connection: socket.socket, arrival: Arrival) -> bool:
        """Answer one request; False closes the connection."""
        misbehave = self.misbehave if arrival.method == "POST" else self.misbehave_at_reads
        if misbehave(connection, arrival):
            return False
        time.sleep(self.latency_s)
        status, content = self._content(arrival)
        connection.sendall(reply(status, json.dumps(content).encode()))
        return True

    def _content(self, arrival: Arrival) -> tuple[str, dict[str, object]]:
        if arrival.method == "POST":
            return "201 Created", self._order(json.loads(arrival.body))
        if arrival.path == "/products":
            products = [
                {"id": each, "name": f"thing {each}", "price": 9.99, "stock": 1000}
                for each in (1, 2, 3)
            ]
            return "200 OK", {"products": products, "count": 3, "served_by": "i-test"}
        kind, _, number = arrival.path.lstrip("/").partition("/")
        if kind == "orders" and int(number) in self.orders:
            return "200 OK", self.orders[int(number)]
        if kind == "products":
            return "200 OK", {"id": int(number), "name": "thing", "price": 9.99, "stock": 1000}
        return "404 Not Found", {"error": "not found"}

    def _order(self, wanted: dict[str, object]) -> dict[str, object]:
        with self.lock:
            order_id = len(self.orders) + 1
            self.orders[order_id] = {"order_id": order_id, **wanted, "served_by": "i-test"}
            return self.orders[order_id]


def reply(status: str, body: bytes, *headers: str) -> bytes:
    """A whole reply with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def reset(connection: socket.socket) -> None:
    """End a connection with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextmanager
def serve() -> Iterator[Shop]:
    """Run a shop on a free port of 127.0.0.1."""
    shop = Shop()

    def handle(connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while (arrival := read_arrival(stream, connection.getpeername())) is not None:
            shop.arrivals.append(arrival)
            if not shop.answer(connection, arrival):
                return

    with serve_connections(handle) as shop.url:
        yield shop


@contextmanager
def serve_connections(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """Give each connection to a free port of 127.0.0.1 to `handle`, then end it; yield the URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                handle(self.request)
            except OSError:
                return

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def shutdown_request(self, request: object) -> None:
            assert isinstance(request, socket.socket)
            request.close()

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read_arrival(stream: BinaryIO, client: tuple[str, int]) -> Arrival | None:
    """Read one request to its end; None where the connection ends instead."""
    first = stream.readline()
    if not first:
        return None
    method, path, _ = first.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while line := stream.readline().decode().strip():
        name, _, value = line.partition(":")
        said = headers.get(name.lower())  # one that is said twice must not look like one
        headers[name.lower()] = value.strip() if said is None else f"{said}, {value.strip()}"
    body = stream.read(int(headers.get("content-length", 0)))
    return Arrival(method=method, path=path, headers=headers, body=body, connection=client)
