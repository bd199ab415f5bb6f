"""What several suites share: one PostgreSQL server, and an empty database for each test."""

import os
import signal
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import settings
from psycopg import sql

from infra.lab.database.postgres import Postgres
from infra.lab.processes.guard import Guard
from tests.harness.forked_locust import end_fork_servers

# As a new database is: nobody in it, nothing set for it, and an empty schema.
EMPTY = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
ALTER DATABASE test RESET ALL;
DROP OWNED BY shop CASCADE;
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO public;
"""

# Random examples, in percent of those that a property test asks for (examples.py). `make mutants`
# gets along with a tenth: what it says is noticed, a short run notices as well.
settings.register_profile("short", max_examples=25, deadline=None)
settings.register_profile("long", max_examples=1000, deadline=None)
settings.load_profile("short")  # until `--hypothesis-profile` names another

# Who starts the tests in the background has them ignore these, and with them all that they start.
for number, default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, default)

# Each client of AWS would read anew what botocore knows of AWS, megabytes of JSON.
_read = cache(JSONFileLoader().load_file)
JSONFileLoader.load_file = lambda _, path: _read(path)  # type: ignore[assignment,method-assign]

# What tests judge is no result of the job that runs them.
os.environ.pop("GITHUB_STEP_SUMMARY", None)


@pytest.fixture(scope="session", autouse=True)
def fork_servers() -> Iterator[None]:
    """What tests start Locusts from; it is made by the first of them that does."""
    yield
    end_fork_servers()


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
            # A password is guarded by as many rounds of hashing as it is told, for each connection.
            connection.execute("SET scram_iterations = 1")
            password = sql.Literal(urlsplit(server.admin_url).password)
            connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(password))
            connection.execute("CREATE DATABASE test OWNER shop")
        yield server
        server.stop()


@pytest.fixture
def database_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of an empty database that is owned by role `shop`.

    It is the same one each time: to make one and to drop it takes longer than most tests.
    """
    yield urlunsplit(urlsplit(postgres_server.url)._replace(path="/test"))
    admin_url = urlunsplit(urlsplit(postgres_server.admin_url)._replace(path="/test"))
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(EMPTY)
