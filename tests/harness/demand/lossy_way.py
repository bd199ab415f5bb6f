"""A way to the shop that loses orders and answers, and knows the truth about each attempt."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from random import Random

from tests.harness.shop_server import Arrival, read_arrival, reply, serve_connections

_LOST_BEFORE, _LOST_AFTER = 0.2, 0.4  # shares of orders, up to here


class LossyWay:
    """`committed` holds every attempt without an answer, and whether the shop has its order."""

    def __init__(self, shop_port: int) -> None:
        self.url = ""
        self.committed: dict[str, bool] = {}
        self._shop_port = shop_port
        self._random = Random(7)

    def carry(self, connection: socket.socket) -> None:
        """Pass on what comes on one connection, until something of it is lost."""
        with closing(HTTPConnection("127.0.0.1", self._shop_port, timeout=30)) as shop:
            stream = connection.makefile("rb")
            with suppress(OSError):
                while (arrival := read_arrival(stream, ("", 0))) is not None:
                    answer = self._pass_on(shop, arrival)
                    if answer is None:
                        return
                    connection.sendall(answer)

    def _pass_on(self, shop: HTTPConnection, arrival: Arrival) -> bytes | None:
        """Return the shop's reply, or None if the customer is to get none."""
        lot = self._random.random() if arrival.method == "POST" else 1.0
        if lot < _LOST_BEFORE:
            self.committed[arrival.headers["x-request-id"]] = False
            return None
        shop.request(arrival.method, arrival.path, arrival.body, arrival.headers)
        answer = shop.getresponse()
        body = answer.read()
        if lot < _LOST_AFTER:
            self.committed[arrival.headers["x-request-id"]] = answer.status == 201
            return None
        return reply(f"{answer.status} {answer.reason}", body)


@contextmanager
def lossy_way(shop_port: int) -> Iterator[LossyWay]:
    """Run one on a free port of 127.0.0.1."""
    way = LossyWay(shop_port)
    with serve_connections(way.carry) as way.url:
        yield way
