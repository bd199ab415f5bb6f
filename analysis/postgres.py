"""The one module that talks to PostgreSQL itself. No text that leaves it holds a password."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import conninfo
from psycopg.rows import dict_row

from analysis.errors import DatabaseError
from analysis.session import LIMITS, Row, Value

__all__ = ["PostgresSession", "open_postgres"]

CONNECT_TIMEOUT_S = 10
SILENT_SERVER_LIMIT_MS = 30_000
LOCK_LIMIT = "30s"
ROWS_PER_FETCH = 5_000


class PostgresSession:
    """A connection. Its errors become DatabaseError where `open_postgres` is left."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self._connection = connection

    @property
    def database(self) -> str:
        """As `Session` has it."""
        return self._connection.info.dbname

    def rows(self, query: str, **values: Value) -> list[Row]:
        """As `Session` has it."""
        return list(self._connection.execute(query.encode(), values or None).fetchall())

    def stream(self, query: str, *, above_id: int) -> Iterator[Row]:
        """As `Session` has it."""
        with self._connection.cursor(name="orders_of_the_run") as cursor:
            cursor.itersize = ROWS_PER_FETCH
            yield from cursor.execute(query.encode(), {"above_id": above_id})

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """As `Session` has it."""
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # Writing a large table out may take longer than the shop allows its own statements.
            self._connection.execute("SET LOCAL statement_timeout = 0")
            self._connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield

    @contextmanager
    def limit(self, limit_s: float) -> Iterator[None]:
        """As `Session` has it."""
        with self._connection.transaction():
            for name in LIMITS:
                self._connection.execute(
                    "SELECT set_config(%s, %s, true)", [name, str(round(limit_s * 1000))]
                )
            yield


@contextmanager
def open_postgres(url: str) -> Iterator[PostgresSession]:
    """Connect; DatabaseError, from whatever is done within it too."""
    with _translated(url), _open(url) as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_LIMIT])
        yield PostgresSession(connection)


def _open(url: str) -> psycopg.Connection[dict[str, Any]]:
    return psycopg.connect(
        url,
        autocommit=True,
        row_factory=dict_row,
        connect_timeout=CONNECT_TIMEOUT_S,
        tcp_user_timeout=SILENT_SERVER_LIMIT_MS,
        application_name="chaos-shop analysis",
    )


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        # The parser's own message may quote the password.
        message = "DATABASE_URL is not PostgreSQL's; write postgresql://user:password@host/database"
        raise DatabaseError(message) from None
    try:
        yield
    except psycopg.Error as error:
        place = f"{parts.get('host') or 'localhost'}:{parts.get('port') or 5432}"
        what = f"the database {parts.get('dbname') or ''} at {place} cannot be read"
        message = f"{what}: {_first_line(error)}; is DATABASE_URL right, and the database up?"
        raise DatabaseError(_scrub(message, _secrets(url, parts))) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _secrets(url: str, parts: Mapping[str, object]) -> set[str]:
    """Return the password in every form in which an error might quote it.

    One that was not percent-encoded is taken apart by the parser, so its pieces count too.
    """
    between = re.search(r"://[^:/@]*:(.*)@", url)
    raw = between.group(1) if between else ""
    named = (str(parts.get(name) or "") for name in ("password", "sslpassword"))
    return {raw, *re.split(r"[@/?#:]", raw), *named} - {""}


def _scrub(text: str, secrets: set[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
