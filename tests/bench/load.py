"""A load generator that is light enough to share two cores with what it measures.

A process of its own: `python tests/bench/load.py PORT SECONDS CONNECTIONS PRODUCTS` prints
one JSON object. Each connection sends its next order when the last was answered, on the same
connection if the server keeps it and on a new one if not.
"""

import json
import selectors
import socket
import sys
import time
from collections import Counter
from itertools import count

_numbers = count()
_run = f"{time.time_ns():x}"


def order(products: int) -> bytes:
    """The bytes of a request for one piece; `products` of them in turn, keyed."""
    number = next(_numbers)
    body = b'{"product_id": %d, "quantity": 1}' % (number % products + 1)
    name = f"{_run}-{number}".encode()
    return (
        b"POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
        b"Idempotency-Key: %s\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s"
        % (name, name, len(body), body)
    )


class Line:
    """A connection with at most one order on it."""

    def __init__(self, port: int, products: int) -> None:
        self._port = port
        self._products = products
        self._socket: socket.socket | None = None
        self._answer = b""
        self.sent_at = 0.0

    def send(self, selector: selectors.BaseSelector) -> None:
        self.sent_at = time.perf_counter()
        self._answer = b""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(self._socket, selectors.EVENT_READ, self)
        self._socket.sendall(order(self._products))

    def receive(self, selector: selectors.BaseSelector) -> int | None:
        """The status of an answer that is whole, or None while it is not."""
        assert self._socket is not None
        data = self._socket.recv(65536)
        self._answer += data
        head, _, body = self._answer.partition(b"\r\n\r\n")
        head = head.lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 1)
        if data and len(body) < length:
            return None
        if not data or b"connection: close" in head:
            selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
        return int(head[9:12] or 0)


def load(port: int, seconds: float, connections: int, products: int) -> dict[str, object]:
    """Order for so long; how many were answered with what, and how long each took."""
    selector = selectors.DefaultSelector()
    statuses: Counter[int] = Counter()
    took_ms: list[float] = []
    lines = [Line(port, products) for _ in range(connections)]
    started = time.perf_counter()
    for line in lines:
        line.send(selector)
    open_orders = connections
    while open_orders:
        for key, _ in selector.select(30):
            line = key.data
            status = line.receive(selector)
            if status is None:
                continue
            now = time.perf_counter()
            statuses[status] += 1
            took_ms.append((now - line.sent_at) * 1000)
            if now - started < seconds:
                line.send(selector)
            else:
                open_orders -= 1
    elapsed_s = time.perf_counter() - started
    took_ms.sort()
    return {
        "per_second": statuses[201] / elapsed_s,
        "p50_ms": took_ms[len(took_ms) // 2],
        "p99_ms": took_ms[len(took_ms) * 99 // 100],
        "statuses": {str(status): number for status, number in statuses.items()},
        "own_cpu": time.process_time() / elapsed_s,
    }


if __name__ == "__main__":
    port, seconds, connections, products = (int(each) for each in sys.argv[1:])
    print(json.dumps(load(port, seconds, connections, products)))
