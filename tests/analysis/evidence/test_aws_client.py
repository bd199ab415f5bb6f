"""Whom boto3's clients ask where the environment names a proxy."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from analysis.evidence.aws_client import aws_clients, is_loopback

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@contextmanager
def served() -> Iterator[tuple[str, list[str]]]:
    """A server that answers all, its address, and what it was asked for."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def ask(endpoint: str, *, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (client,) = aws_clients(
        "rds-data",
        region="us-east-1",
        connect_timeout=2,
        read_timeout=5,
        retries={"total_max_attempts": 1},
    )
    client.execute_statement(
        resourceArn="arn:aws:rds:us-east-1:123456789012:cluster:c",
        secretArn="arn:aws:secretsmanager:us-east-1:123456789012:secret:s",
        sql="SELECT 1",
    )


def test_a_lab_on_loopback_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as (endpoint, asked):
        ask(endpoint, proxy="http://127.0.0.1:9", monkeypatch=monkeypatch)
        assert asked == ["/Execute"]


def test_aws_is_asked_by_the_users_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as (proxy, asked):
        ask("http://aws.invalid", proxy=proxy, monkeypatch=monkeypatch)
        assert asked == ["http://aws.invalid/Execute"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:5000", True),
        ("http://127.7.0.9", True),
        ("http://[::1]:5000", True),
        ("http://localhost:5000", True),
        ("https://fis.us-east-1.amazonaws.com", False),
        ("http://10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_told_by_its_address(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
