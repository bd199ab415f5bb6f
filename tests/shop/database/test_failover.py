"""A standby that is taken for the writer: it is believed in what it has alone.

The standby is the server itself, stopped in good order and started as one.
"""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from infra.lab.database.postgres import UNPRIVILEGED_USER, Postgres
from infra.lab.processes.guard import Guard
from infra.lab.processes.process_group import ProcessGroup
from shop.orders.schema import prepare_database
from shop.settings import Settings
from shop.web import current
from shop.web.app import create_app

pytestmark = pytest.mark.lab

ORDER = {"product_id": 3, "quantity": 2}


@contextmanager
def started_as_standby(server: Postgres, guard: Guard, log: Path) -> Iterator[None]:
    """Stop the server, and start it as one that follows nobody and may not write."""
    process = psutil.Process(server.pid)
    command, data = process.cmdline(), Path(process.cwd())
    server.stop()
    (data / "standby.signal").touch()
    user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
    standby = ProcessGroup(
        command, guard=guard, log=log, folder=data, user=user, last_signal=signal.SIGQUIT
    )
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(server.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, standby.tail()
            time.sleep(0.02)
        else:
            break
    try:
        yield
    finally:
        standby.stop(signal.SIGINT)


def names(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key, "X-Request-Id": f"attempt-{key}"}


def test_a_standby_is_believed_in_what_it_has_and_sells_once_it_is_promoted() -> None:
    with tempfile.TemporaryDirectory(prefix="chaos-shop-test-") as name, Guard() as guard:
        folder = Path(name)
        folder.chmod(0o755)  # root's PostgreSQL runs as another user
        server = Postgres(folder=folder / "postgres", guard=guard)
        server.start()
        settings = Settings(database_url=server.url)
        prepare_database(settings)
        shop = create_app(settings)
        client = shop.test_client()
        placed = client.post("/orders", json=ORDER, headers=names("old"))
        with started_as_standby(server, guard, folder / "standby.log"):
            assert client.get("/products").status_code == 200
            assert client.get("/health/deep").get_json()["database"] == "read-only"
            assert client.get("/orders?order_key=old").get_json() == placed.get_json()
            # The writer may have these by now.
            unsaid = [client.get("/orders?order_key=new"), client.get("/orders/2")]
            unsaid += [
                client.post("/orders", json=ORDER, headers=each) for each in ({}, names("new"))
            ]
            for answer in unsaid:
                assert answer.status_code == 503
                assert "read-only; nothing was changed" in answer.get_json()["error"]
            with psycopg.connect(server.admin_url, autocommit=True) as admin:
                admin.execute("SELECT pg_promote()")
            assert client.get("/orders?order_key=new").status_code == 404
            again = client.post("/orders", json=ORDER, headers=names("old"))
            assert (again.status_code, again.get_json()) == (201, placed.get_json())
            assert client.post("/orders", json=ORDER, headers=names("new")).status_code == 201
            assert client.get("/products/3").get_json()["stock"] == 46
            with shop.app_context():
                current.pool().close_idle()
