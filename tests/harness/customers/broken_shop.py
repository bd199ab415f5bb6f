"""A shop with one door for each way to misbehave, and its own record of what it committed.

A way has the whole connection, from before its request is read; what it does is in `Visit`.
"""

import itertools
import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from tests.harness.shop_server import Arrival, read_arrival, reply, reset

_FIRST_ORDER = 1000
_connections = itertools.count(1)  # a client's port is given out again
_PATIENCE_S = 30.0


@dataclass(slots=True)
class Door:
    """One way's door: what arrived at it, and which attempts it committed as which order."""

    arrivals: list[Arrival] = field(default_factory=list)
    committed: dict[str, int] = field(default_factory=dict)
    drips_finished: int = 0
    floods_finished: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def orders(self) -> list[str]:
        """The attempt ids of the orders that were read, repeats included."""
        return [each.headers["x-request-id"] for each in self.arrivals if each.method == "POST"]


class Visit:
    """One connection to a door."""

    def __init__(self, door: Door, connection: socket.socket) -> None:
        self.door = door
        self.connection = connection
        self._name = ("connection", next(_connections))
        self.arrival: Arrival | None = None
        self._stream: BinaryIO | None = None

    def read(self) -> bool:
        """Read one request; whether one came."""
        try:
            if self._stream is None:
                self._stream = self.connection.makefile("rb")
            self.arrival = read_arrival(self._stream, self._name)
        except ValueError:
            self.arrival = None  # that was no HTTP
        if self.arrival is not None:
            self.door.arrivals.append(self.arrival)
        return self.arrival is not None

    @property
    def wanted(self) -> dict[str, Any]:
        """What was ordered; something whole for a request that was no order."""
        body = self.arrival.body if self.arrival is not None else b""
        return json.loads(body) if body else {"product_id": 1, "quantity": 1}

    def order(self, *, commits: bool = True) -> dict[str, Any]:
        """The order as its reply names it, in the table or not."""
        assert self.arrival is not None
        with self.door.lock:
            order_id = _FIRST_ORDER + len(self.door.arrivals)
            if commits and self.arrival.method == "POST":
                self.door.committed[self.arrival.headers["x-request-id"]] = order_id
        return {"order_id": order_id, **self.wanted}

    def send(self, *parts: bytes, pause_s: float = 0.0) -> None:
        for part in parts:
            self.connection.sendall(part)
            time.sleep(pause_s)

    def reset(self) -> None:
        if self._stream is not None:
            self._stream.close()
        reset(self.connection)

    def wait_for_bytes(self) -> None:
        """Wait until a request has come, and leave it unread."""
        select.select([self.connection], [], [], _PATIENCE_S)

    def wait_for_end(self) -> None:
        """Wait until the client has gone."""
        self.connection.settimeout(_PATIENCE_S)
        while self.connection.recv(4096):
            pass


Way = Callable[[Visit], None]


def says(
    *parts: bytes | Callable[[bytes], bytes],
    commits: bool = False,
    keeps: bool = False,
    then: Callable[[Visit], None] | None = None,
) -> Way:
    """Read a request and say this (given the order's JSON where it is a function).

    `keeps` leaves the connection open for another request.
    """

    def act(visit: Visit) -> None:
        while visit.read():
            whole = json.dumps(visit.order(commits=commits)).encode()
            visit.send(b"".join(part if isinstance(part, bytes) else part(whole) for part in parts))
            if then is not None:
                then(visit)
            if not keeps:
                return

    return act


def answers(
    status: str, *headers: str, commits: bool = False, keeps: bool = False, **changes: object
) -> Way:
    """Answer with the order's JSON, with changes; None removes a field."""

    def act(visit: Visit) -> None:
        while visit.read():
            whole = {**visit.order(commits=commits), **changes}
            kept = {key: value for key, value in whole.items() if value is not None}
            visit.send(reply(status, json.dumps(kept).encode(), *headers))
            if not keeps:
                return

    return act


def drips(before: bytes, part: bytes, *, commits: bool = True) -> Way:
    """Say `before`, then one more `part` now and then for longer than anybody should wait."""

    def act(visit: Visit) -> None:
        if visit.read():
            visit.order(commits=commits)
            visit.send(before)
            visit.send(*[part] * 60, pause_s=0.25)
            visit.door.drips_finished += 1

    return act


def floods(before: bytes, part: bytes) -> Way:
    """Say `before`, then more than anybody should take, without a pause."""

    def act(visit: Visit) -> None:
        if visit.read():
            visit.order()
            visit.send(before, *[part * (2**16 // len(part))] * 3000)
            visit.door.floods_finished += 1

    return act


def under_tls(way: Way, context: ssl.SSLContext) -> Way:
    """The same, over TLS."""

    def act(visit: Visit) -> None:
        with context.wrap_socket(visit.connection, server_side=True) as connection:
            way(Visit(visit.door, connection))

    return act


def closes_at_once(visit: Visit) -> None:
    """Accept and close."""
