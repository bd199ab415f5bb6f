"""The shop as it is started in the lab and on AWS: gunicorn with its settings from here."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def gunicorn(port: int, **environ: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "gunicorn", "--config", "python:shop.gunicorn_conf"]
    command += ["--bind", f"127.0.0.1:{port}", "shop.wsgi:app"]
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with subprocess.Popen(
        command, cwd=ROOT, env=bare | environ, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)


def ask(
    port: int, path: str, data: bytes | Iterator[bytes] | None = None, *, timeout_s: float = 10
) -> tuple[int, dict[str, object]]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def wait_until_healthy(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            assert ask(port, "/health") == (200, {"status": "healthy"})
        except OSError:
            assert time.monotonic() < deadline, "gunicorn did not come up"
            time.sleep(0.1)
        else:
            return


def wait_until_refused(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except ConnectionRefusedError:
            return
        assert time.monotonic() < deadline, "the listener is still there"
        time.sleep(0.02)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.mark.lab
def test_gunicorn_serves_orders_and_leaves_on_sigterm(database_url: str, port: int) -> None:
    environ = {"DATABASE_URL": database_url, "INSTANCE_ID": "i-g", "SHOP_WORKERS": "2"}
    with gunicorn(port, **environ) as server:
        wait_until_healthy(port)
        status, body = ask(port, "/orders", b'{"product_id": 3, "quantity": 2}')
        assert (status, body["served_by"]) == (201, "i-g")
        assert ask(port, "/orders", b" " * 100_000)[0] == 413
        assert ask(port, "/orders", iter([b" " * 10_000] * 10))[0] == 413  # in chunks
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
        assert server.stderr
        log = server.stderr.read()
    assert "Control socket" not in log
    assert "Booting worker" in log


@pytest.mark.lab
def test_a_request_in_flight_at_sigterm_is_finished(database_url: str, port: int) -> None:
    with (
        gunicorn(port, DATABASE_URL=database_url, SHOP_WORKERS="1") as server,
        ThreadPoolExecutor(1) as thread,
    ):
        wait_until_healthy(port)
        with psycopg.connect(database_url) as other:
            other.execute("SELECT 1 FROM products WHERE id = 3 FOR UPDATE")
            answer = thread.submit(ask, port, "/orders", b'{"product_id": 3, "quantity": 2}')
            while other.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount == 0:
                time.sleep(0.02)
            server.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert not answer.done()
        assert answer.result(10)[0] == 201
        assert server.wait(30) == 0


@pytest.mark.lab
def test_a_worker_replaced_while_the_database_is_away_keeps_the_server_up(
    port: int, wire: Any
) -> None:
    with gunicorn(port, DATABASE_URL=wire.url, SHOP_WORKERS="1") as server:
        wait_until_healthy(port)
        assert ask(port, "/products")[0] == 200
        wire.close()
        (worker,) = psutil.Process(server.pid).children()
        worker.kill()
        worker.wait(10)
        wait_until_healthy(port)
        assert ask(port, "/products")[0] == 503
        assert server.poll() is None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "shop: no database is named: set DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://u:s3cr3t%@h/d"}, "shop: DATABASE_URL is not a PostgreSQL"),
        (
            {"DATABASE_URL": "postgresql://u:s3cr3t@h/d", "SHOP_WORKERS": "x"},
            "shop: SHOP_WORKERS is 'x': set it to a whole number",
        ),
        (
            {"DATABASE_URL": "postgresql://u:s3cr3t@127.0.0.1:1/d", "SHOP_START_TIMEOUT_MS": "1"},
            "shop: the database d at 127.0.0.1:1 was not ready within 0.001 s",
        ),
    ],
)
def test_a_start_that_cannot_work_ends_with_one_clear_line(
    port: int, environ: dict[str, str], expected: str
) -> None:
    with gunicorn(port, **environ) as server:
        _, errors = server.communicate(timeout=60)
    assert server.returncode == 1
    lines = [line for line in errors.splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    assert lines[0].startswith(expected)
    assert "s3cr3t" not in errors


@pytest.mark.lab
def test_on_sigterm_new_connections_are_refused_and_kept_ones_end_cleanly(
    database_url: str, port: int
) -> None:
    with gunicorn(port, DATABASE_URL=database_url, SHOP_WORKERS="2") as server:
        wait_until_healthy(port)
        kept = HTTPConnection("127.0.0.1", port, timeout=10)
        kept.request("GET", "/health")
        assert kept.getresponse().read()
        server.send_signal(signal.SIGTERM)
        wait_until_refused(port)
        kept.request("GET", "/health")
        answer = kept.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        kept.close()
        assert server.wait(30) == 0
