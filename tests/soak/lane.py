"""A shop of its own for rounds that follow each other: the real server, and its database."""

import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

import psycopg

from infra.lab.processes.guard import Guard
from infra.lab.processes.ports import free_port
from infra.lab.processes.process_group import ProcessGroup

ROOT = Path(__file__).resolve().parents[2]
_START_LIMIT_S = 60


class Lane:
    """Two lanes never see each other's orders, so their rounds can run beside each other."""

    def __init__(self, folder: Path, guard: Guard, database_url: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.database_url = database_url
        port = free_port()
        self.host = f"http://127.0.0.1:{port}"
        self._server = ProcessGroup(
            [
                *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"),
                *("--config", "python:shop.gunicorn_conf", "shop.wsgi:app"),
            ],
            guard=guard,
            log=folder / "shop.log",
            environment={
                "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
                "DATABASE_URL": database_url,
                "INSTANCE_ID": "i-soak",
                "SHOP_WORKERS": "2",
                "SHOP_STOCK_FACTOR": "1000000",
            },
            folder=ROOT,
        )

    def wait_until_healthy(self) -> None:
        """Return when it serves."""
        give_up_at = time.monotonic() + _START_LIMIT_S
        while True:
            try:
                urllib.request.urlopen(f"{self.host}/health", timeout=5).close()
            except OSError:
                if time.monotonic() > give_up_at or not self._server.is_alive():
                    raise RuntimeError(f"the shop did not start: {self._server.tail()}") from None
                time.sleep(0.1)
            else:
                return

    def last_order(self) -> int:
        """The highest order id there is."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT coalesce(max(id), 0) FROM orders").fetchone()
        assert row is not None
        return int(row[0])

    def orders_since(self, last: int) -> dict[str, int]:
        """Order ids by the attempt that made them, of all orders after `last`."""
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute("SELECT attempt_id, id FROM orders WHERE id > %s", (last,))
            return {str(attempt): int(number) for attempt, number in rows}

    def close(self) -> None:
        """End the server."""
        self._server.stop(signal.SIGINT, grace_s=3)
