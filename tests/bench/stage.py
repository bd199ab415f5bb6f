"""What the benchmarks run on: one PostgreSQL, and servers of both designs beside each other."""

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg

from infra.lab.database.postgres import Postgres
from infra.lab.processes.guard import Guard
from infra.lab.processes.ports import free_port
from infra.lab.processes.process_group import ProcessGroup

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 4
STOCK_FACTOR = 1_000_000
START_LIMIT_S = 30


class Stage:
    """PostgreSQL, and as many servers as are asked for. Everything is on loopback."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        self._folder = folder
        self._guard = guard
        self._servers: list[ProcessGroup] = []
        self._pids: dict[int, int] = {}
        self._postgres = Postgres(folder=folder / "postgres", guard=guard)
        self._postgres.start()

    def start_ours(self, **environment: str) -> int:
        """Start our shop; its port."""
        return self._start("shop", "python:shop.gunicorn_conf", "shop.wsgi:app", environment)

    def start_articles(self) -> int:
        """Start the article's design, with its own tables; its port."""
        # Its tables and stock are made by our shop, which can do with them too.
        port = self.start_ours(SHOP_SCHEMA="article")
        self._servers.pop().stop()
        return self._start(
            "shop", None, "tests.bench.article_shop:app", {"SHOP_SCHEMA": "article"}, port=port
        )

    def _start(
        self,
        name: str,
        config: str | None,
        app: str,
        environment: dict[str, str],
        *,
        port: int | None = None,
    ) -> int:
        port = port or free_port()
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", app]
        if config:
            command += ["--config", config]
        else:
            command += ["--workers", str(WORKERS), "--no-control-socket", "--timeout", "30"]
            command += ["--worker-tmp-dir", "/dev/shm"] if Path("/dev/shm").is_dir() else []
        log = self._folder / f"{port}.log"
        server = ProcessGroup(
            command,
            guard=self._guard,
            log=log,
            environment={
                "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
                "DATABASE_URL": self._database(environment.get("SHOP_SCHEMA", "keyed")),
                "INSTANCE_ID": "i-bench",
                "SHOP_WORKERS": str(WORKERS),
                "SHOP_STOCK_FACTOR": str(STOCK_FACTOR),
            }
            | environment,
            folder=ROOT,
        )
        self._servers.append(server)
        self._pids[port] = server.pid
        _wait_until_healthy(server, port)
        return port

    def cpu_s(self, port: int) -> tuple[float, float]:
        """CPU seconds so far: of the server on this port, and of PostgreSQL, for whomever."""
        return _cpu_s(self._pids[port]), _cpu_s(self._postgres.pid)

    def _database(self, schema: str) -> str:
        with psycopg.connect(self._postgres.admin_url, autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (schema,))
            if found.fetchone() is None:
                connection.execute(f"CREATE DATABASE {schema} OWNER shop".encode())
        return urlunsplit(urlsplit(self._postgres.url)._replace(path=f"/{schema}"))

    @contextmanager
    def hung_database(self) -> Iterator[None]:
        """Meanwhile PostgreSQL is there, connected, and silent."""
        postmaster = psutil.Process(self._postgres.pid)
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        for server in self._servers:
            server.stop()
        self._postgres.stop()


def _cpu_s(pid: int) -> float:
    first = psutil.Process(pid)
    times = [each.cpu_times() for each in (first, *first.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def _wait_until_healthy(server: ProcessGroup, port: int) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
        except OSError:
            if time.monotonic() > deadline or not server.is_alive():
                raise RuntimeError(f"no server on {port}: {server.tail()}") from None
            time.sleep(0.1)
        else:
            return
