"""Envoy by itself: what becomes of requests when a target is taken out."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.lab.balancer.envoy import Envoy
from infra.lab.processes.guard import Guard
from infra.lab.settings import LabSettings


class Server(ThreadingHTTPServer):
    """Answers with its name; /slow when it is let."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.has_slow = threading.Event()
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def where(self) -> tuple[str, int]:
        """Address and port."""
        return "127.0.0.1", self.server_port


class Answer(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.server.has_slow.set()
            assert self.server.go_on.wait(20)
        body = str(self.server.server_port).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    made = (Server(), Server())
    threads = [threading.Thread(target=each.serve_forever, args=(0.05,)) for each in made]
    for thread in threads:
        thread.start()
    yield made
    for each in made:
        each.go_on.set()
        each.shutdown()
        each.server_close()
    for thread in threads:
        thread.join()


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[Envoy]:
    with Guard() as guard:
        started = Envoy(settings=LabSettings(), folder=tmp_path, guard=guard)
        started.start()
        yield started
        started.stop()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.02)


def ask(connection: http.client.HTTPConnection, path: str = "/") -> tuple[int, str]:
    connection.request("GET", path)
    reply = connection.getresponse()
    return reply.status, reply.read().decode()


def test_a_target_that_is_taken_out_gets_no_new_request_and_ends_those_it_has(
    envoy: Envoy, servers: tuple[Server, Server]
) -> None:
    victim, other = servers
    envoy.route_to({victim.where: True})
    until(lambda: envoy.views() == {victim.where: True})
    kept, slow = (http.client.HTTPConnection("127.0.0.1", envoy.port, timeout=20) for _ in "ab")
    assert ask(kept) == (200, str(victim.server_port))
    told: list[tuple[int, str]] = []
    waiting = threading.Thread(target=lambda: told.append(ask(slow, "/slow")))
    waiting.start()
    assert victim.has_slow.wait(20)
    envoy.route_to({other.where: True})
    # It is gone from Envoy's view although a request of it is still open.
    until(lambda: envoy.views() == {other.where: True})
    assert {ask(kept) for _ in range(4)} == {(200, str(other.server_port))}
    victim.go_on.set()
    waiting.join()
    assert told == [(200, str(victim.server_port))]
    for connection in (kept, slow):
        connection.close()


def test_without_a_target_the_answer_is_503(envoy: Envoy, servers: tuple[Server, Server]) -> None:
    victim, _ = servers
    envoy.route_to({victim.where: True})
    until(lambda: envoy.views() == {victim.where: True})
    envoy.route_to({})
    until(lambda: envoy.views() == {})
    connection = http.client.HTTPConnection("127.0.0.1", envoy.port, timeout=20)
    assert ask(connection)[0] == 503
    connection.close()
