"""A reply that brings more than anybody should take outlasts no timeout and fills no memory."""

import json
from contextlib import ExitStack

import pytest

from tests.harness.customers.broken_shop import Door, Visit, floods
from tests.harness.programs import output_of
from tests.harness.shop_server import serve_connections

FLOODS = {
    "chunks": floods(
        b"HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n", b"3e8\r\n%s\r\n" % (b"x" * 1000)
    ),
    "body": floods(b"HTTP/1.1 201 C\r\nContent-Length: 1099511627776\r\n\r\n", b" "),
    "headers": floods(b"HTTP/1.1 201 C\r\n", b"X-A: b\r\n"),
    "header": floods(b"HTTP/1.1 201 C\r\nX: ", b"x"),
    "interim replies": floods(b"", b"HTTP/1.1 103 C\r\n\r\n"),
}
# Asks every URL in turn while something else wants to run, and prints what became of each.
_ASK = """
import json, resource, sys
import locust, gevent
from locust.env import Environment
from harness.customers.exchange import Request, exchange
from harness.customers.fast_client import FastClient
from harness.customers.outcome import cause_of
from harness.customers.requests_client import RequestsClient

User, Client = {
    "fast": (locust.FastHttpUser, FastClient),
    "requests": (locust.HttpUser, RequestsClient),
}[sys.argv[1]]
beats = 0
def beat():
    global beats
    while True:
        gevent.sleep(0.001)
        beats += 1
gevent.spawn(beat)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = []
for url in sys.argv[2:]:
    class One(User):
        host = url
    client = Client(One(Environment()), connect_timeout_s=5, total_timeout_s=10)
    request = Request(method="GET", path="/", name="/", headers={})
    beats = 0
    reply = exchange(client, request, total_timeout_s=10)
    found.append([cause_of(reply.failure), beats])
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"found": found, "grown_kb": grown}))
"""


@pytest.mark.parametrize("client", ["fast", "requests"])
def test_flood_is_given_up_in_bounded_memory_while_others_go_on(client: str) -> None:
    doors = {name: Door() for name in FLOODS}
    with ExitStack() as stack:
        urls = [
            stack.enter_context(
                serve_connections(lambda each, name=name: FLOODS[name](Visit(doors[name], each)))  # type: ignore[misc]
            )
            for name in FLOODS
        ]
        told = json.loads(output_of(_ASK, client, *urls))
    causes = dict(zip(FLOODS, told["found"], strict=True))
    assert {cause for cause, _ in causes.values()} == {"truncated"}
    assert causes["body"][1] > 0
    assert causes["chunks"][1] > 0
    assert {name: door.floods_finished for name, door in doors.items()} == dict.fromkeys(FLOODS, 0)
    assert told["grown_kb"] < 150_000
