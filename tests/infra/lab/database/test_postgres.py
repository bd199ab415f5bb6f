"""The lab's PostgreSQL."""

import psycopg
import pytest

from infra.lab.database.postgres import Postgres

pytestmark = pytest.mark.lab


def test_rows_carry_the_time_of_their_commit(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE t (i int)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        row = connection.execute("SELECT pg_xact_commit_timestamp(xmin) FROM t").fetchone()
    assert row is not None
    assert row[0] is not None


def test_the_superuser_needs_a_password(postgres_server: Postgres) -> None:
    url = postgres_server.url.replace("shop@", "postgres:guess@")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)
