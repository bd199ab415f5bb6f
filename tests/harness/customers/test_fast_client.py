"""What FastClient sends in place of Locust's own session: heads, paths, cookies, credentials.

In a process of its own, because Locust patches the sockets of the one that imports it.
"""

import json
import socket

import pytest

from tests.harness.programs import output_of
from tests.harness.shop_server import Arrival, read_arrival, reply, serve_connections

_ASK = """
import json, sys
import locust
from locust.env import Environment
from harness.customers.exchange import Request, exchange
from harness.customers.fast_client import FastClient

class Plain(locust.FastHttpUser):
    host = sys.argv[1]

class Known(Plain):
    host = sys.argv[1].replace("//", "//somebody:s%20ecret@") + "/a b/"
    default_headers = {"user-agent": "an app", "accept": "text/html"}

def client_of(user):
    return FastClient(user(Environment()), connect_timeout_s=2, total_timeout_s=5)

def ask(client, path, method="GET", body=None, **headers):
    headers = {"Accept": "application/json", **headers}
    request = Request(method=method, path=path, name=path, headers=headers, body=body)
    reply = exchange(client, request, total_timeout_s=5)
    return reply.status, type(reply.failure).__name__, getattr(
        reply.counted["response"], "status_code", None)

plain, known = client_of(Plain), client_of(Known)
found = [
    ask(plain, "/sets-a-cookie"),
    ask(plain, "/orders/1"),
    ask(plain, "/orders", "POST", '{"\\u00e4": 1}', **{"X-Request-Id": "1"}),
    ask(plain, "/empty", "POST"),
    ask(known, "/h\\u00e4t?a=b c"),
    ask(plain, "/refused", **{"X-Request-Id": "1\\r\\nX-Evil: 2"}),
    ask(plain, "http://127.0.0.1:9/elsewhere"),
]
plain._session.get("/of-its-own", name="own")
plain._session.base_url = "http://127.0.0.1:9"
found.append(ask(plain, "/moved"))
print(json.dumps(found))
"""

Told = tuple[int | None, str, int | None]


@pytest.fixture(scope="module")
def asked() -> tuple[list[Told], list[Arrival]]:
    """What each of the requests above came to, and what arrived."""
    arrivals: list[Arrival] = []

    def answer(connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while arrival := read_arrival(stream, connection.getpeername()):
            arrivals.append(arrival)
            cookie = ["Set-Cookie: AWSALB=abc; Path=/"] if "cookie" in arrival.path else []
            connection.sendall(reply("200 OK", b"{}", *cookie))

    with serve_connections(answer) as url:
        told = json.loads(output_of(_ASK, url))
    return [tuple(each) for each in told], arrivals


Asked = tuple[list[Told], list[Arrival]]


def test_each_request_arrives_as_it_was_meant(asked: Asked) -> None:
    told, arrivals = asked
    assert told[:5] == [(200, "NoneType", 200)] * 5
    assert [(each.method, each.path) for each in arrivals] == [
        ("GET", "/sets-a-cookie"),
        ("GET", "/orders/1"),
        ("POST", "/orders"),
        ("POST", "/empty"),
        ("GET", "/a%20b/h%C3%A4t?a=b%20c"),
        ("GET", "/of-its-own"),
    ]
    assert arrivals[2].headers["x-request-id"] == "1"
    assert arrivals[2].headers["content-length"] == str(len('{"ä": 1}'.encode()))
    assert arrivals[3].headers["content-length"] == "0"
    assert {each.headers["host"].split(":")[0] for each in arrivals} == {"127.0.0.1"}


def test_cookie_that_was_set_comes_back_so_that_a_sticky_load_balancer_finds_its_server(
    asked: Asked,
) -> None:
    _, arrivals = asked
    cookies = [each.headers.get("cookie") for each in arrivals]
    assert cookies == [None, "AWSALB=abc", "AWSALB=abc", "AWSALB=abc", None, "AWSALB=abc"]


def test_credentials_and_headers_of_a_locustfile_are_said_once(asked: Asked) -> None:
    _, arrivals = asked
    known = arrivals[4].headers
    assert known["authorization"] == "Basic c29tZWJvZHk6cyBlY3JldA=="
    assert known["user-agent"] == "an app"
    assert known["accept"] == "application/json"
    for arrival in (arrivals[0], arrivals[5]):
        assert arrival.headers["user-agent"].startswith("python/gevent-http-client")
        assert "," not in arrival.headers["user-agent"]
    hosts = [each.headers["host"] for each in arrivals]
    assert not any("," in host for host in hosts)


def test_what_makes_no_request_is_not_sent(asked: Asked) -> None:
    told, arrivals = asked
    assert [failure for _, failure, _ in told[5:7]] == ["ValueError", "ValueError"]
    assert len(arrivals) == 6


def test_customer_goes_where_its_locustfile_sends_it_in_mid_run(asked: Asked) -> None:
    told, _ = asked
    assert told[7][:2] == (None, "NotConnected")
