"""What several suites share: one PostgreSQL server, and an empty database for each test."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from infra.lab.postgres import Postgres
from infra.lab.processes import Guard

_database_numbers = itertools.count(1)

# What tests judge is no result of the job that runs them.
os.environ.pop("GITHUB_STEP_SUMMARY", None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server that lives as long as the test session."""
    with tempfile.TemporaryDirectory(prefix="chaos-shop-test-") as name, Guard() as guard:
        folder = Path(name)
        folder.chmod(0o755)  # root's PostgreSQL runs as another user
        server = Postgres(folder=folder / "postgres", guard=guard)
        server.start()
        with psycopg.connect(server.admin_url, autocommit=True) as connection:
            # No test takes the machine's power away, and waiting for its disk takes long.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server
        server.stop()


@pytest.fixture
def database_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL, password included, of a fresh and empty database owned by role `shop`."""
    name = f"test_{next(_database_numbers)}"
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER shop")
    yield urlunsplit(urlsplit(postgres_server.url)._replace(path=f"/{name}"))
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
