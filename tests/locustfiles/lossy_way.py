"""A way to the shop that loses orders and answers, and knows the truth about each attempt."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from random import Random

from tests.locustfiles.shop_server import Arrival, _read, reply

__all__ = ["LossyWay", "lossy_way"]

_LOST_BEFORE, _LOST_AFTER = 0.2, 0.4  # shares of orders, up to here


class LossyWay:
    """What became of every attempt that was lost: whether the shop had said that it is placed."""

    def __init__(self, shop_port: int) -> None:
        self.shop_port = shop_port
        self.url = ""
        self.committed: dict[str, bool] = {}
        self._random = Random(7)

    def carry(self, connection: HTTPConnection, arrival: Arrival) -> bytes | None:
        """Pass a request on and return the reply; None if the customer is to get none."""
        lot = self._random.random() if arrival.method == "POST" else 1.0
        attempt_id = arrival.headers.get("x-request-id", "")
        if lot < _LOST_BEFORE:
            self.committed[attempt_id] = False
            return None
        connection.request(arrival.method, arrival.path, arrival.body, arrival.headers)
        answer = connection.getresponse()
        body = answer.read()
        if lot < _LOST_AFTER:
            self.committed[attempt_id] = answer.status == 201
            return None
        return _render(answer, body)


def _render(answer: HTTPResponse, body: bytes) -> bytes:
    kept = [f"{name}: {value}" for name, value in answer.getheaders() if name == "Retry-After"]
    return reply(f"{answer.status} {answer.reason}", body, *kept)


@contextmanager
def lossy_way(shop_port: int) -> Iterator[LossyWay]:
    """Run one on a free port of 127.0.0.1."""
    way = LossyWay(shop_port)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            upstream = HTTPConnection("127.0.0.1", shop_port, timeout=30)
            try:
                while (arrival := _read(self.rfile, self.client_address)) is not None:
                    answer = way.carry(upstream, arrival)
                    if answer is None:
                        return
                    self.connection.sendall(answer)
            except OSError:
                return
            finally:
                upstream.close()

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        way.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield way
        finally:
            server.shutdown()
            thread.join()
