"""Shops over a real and empty database, and a wire to it that can be cut."""

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from shop.orders.schema import prepare_database
from shop.settings import Settings
from shop.web import current
from shop.web.app import create_app

MakeShop = Callable[..., Flask]


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(
        database_url=database_url,
        instance_id="i-a",
        availability_zone="us-east-1a",
        private_ip="127.0.0.2",
    )


@pytest.fixture
def make_shop(settings: Settings) -> Iterator[MakeShop]:
    """Make servers of one shop; keyword arguments differ from `settings`."""
    prepare_database(settings)
    apps: list[Flask] = []

    def make(**changes: str | int) -> Flask:
        changed = dataclasses.replace(settings, **changes)  # type: ignore[arg-type]
        apps.append(create_app(changed))
        return apps[-1]

    yield make
    for app in apps:
        with app.app_context():
            current.pool().close_idle()


@pytest.fixture
def client(make_shop: MakeShop) -> FlaskClient:
    return make_shop().test_client()


@pytest.fixture
def rows(database_url: str) -> Iterator[Callable[[str], list[tuple[object, ...]]]]:
    """Run a query of the test's own, beside the shop."""
    with psycopg.connect(database_url, autocommit=True) as connection:

        def run(query: str) -> list[tuple[object, ...]]:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

        yield run


def wait_until_cut_sessions_ended(database_url: str) -> None:
    """Wait until nothing that server i-a has sent can still be done."""
    query = "SELECT FROM pg_stat_activity WHERE application_name = 'chaos-shop i-a'"
    with psycopg.connect(database_url, autocommit=True) as connection:
        for _ in range(1000):
            if not connection.execute(query + " AND datname = current_database()").rowcount:
                return
            time.sleep(0.01)
    raise AssertionError("a session outlived its connection")


class Wire:
    """A TCP proxy to the database that is cut once it has carried certain bytes.

    `cut_at` is looked for in what the client sends. It is delivered, and answered, unless
    `is_delivered` is off; the answer never reaches the client. With `is_final` no
    connection that is made after the cut carries anything.
    """

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._upstream = (parts.hostname or "", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.cut_at: bytes | None = None
        self.is_delivered = True
        self.is_final = False
        self.cuts = 0
        address = f"{parts.username}:{parts.password}@127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=address))
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Cut everything, for good."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.is_final and self.cuts:
                client.close()
                continue
            self._clients.append(client)
            thread = threading.Thread(target=self._carry, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._upstream) as server:
            back = threading.Thread(target=_pump, args=(server, client))
            back.start()
            with suppress(OSError):
                while data := client.recv(65536):
                    if self.cut_at and self.cut_at in data:
                        self.cut_at = None
                        self.cuts += 1
                        client.shutdown(socket.SHUT_RDWR)
                        if self.is_delivered:
                            server.sendall(data)
                            continue
                        break
                    server.sendall(data)
            with suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join(10)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(database_url: str) -> Iterator[Wire]:
    wire = Wire(database_url)
    yield wire
    wire.close()
