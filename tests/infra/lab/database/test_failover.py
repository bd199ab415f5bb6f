"""The database's writer goes and comes back, in whatever order things happen."""

import time
from collections.abc import Iterator

import psycopg
import pytest

from infra.lab.database.failover import Writer
from infra.lab.database.postgres import Postgres
from infra.lab.processes.guard import Guard

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Guard() as guard:
        server = Postgres(
            folder=tmp_path_factory.mktemp("postgres"), guard=guard, synchronous_commit=False
        )
        server.start()
        yield server
        server.stop()


def follow(writer: Writer) -> None:
    deadline = time.monotonic() + 30
    while not writer.is_available():
        assert time.monotonic() < deadline
        writer.tick()
        time.sleep(0.02)


def rows(server: Postgres) -> int:
    with psycopg.connect(server.url) as connection:
        found = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert found is not None
    return int(found[0])


def test_a_reboot_keeps_what_a_failover_loses_without_a_disk(server: Postgres) -> None:
    writer = Writer(server, away_s=0.1, now=time.monotonic)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept ()")
        connection.execute("INSERT INTO kept DEFAULT VALUES")
    writer.reboot()
    assert not writer.is_available()
    follow(writer)
    assert rows(server) == 1
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("INSERT INTO kept DEFAULT VALUES")
        writer.fail_over()
        follow(writer)
    assert rows(server) == 1


def test_one_that_dies_while_it_comes_back_is_started_again(server: Postgres) -> None:
    writer = Writer(server, away_s=0.0, now=time.monotonic)
    writer.fail_over()
    deadline = time.monotonic() + 30
    while server.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    writer.tick()  # it has ended
    writer.tick()  # and is started
    assert server.is_alive()
    server.crash()
    follow(writer)
    assert server.is_ready()
