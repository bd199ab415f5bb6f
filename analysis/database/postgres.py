"""The one module that talks to PostgreSQL itself. No text that leaves it holds a password."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import psycopg
from psycopg import conninfo, pq
from psycopg.rows import dict_row

from analysis.database.session import AS_STORED, GRANTS, LIMITS, Row, Value, subject_of
from analysis.evidence.errors import DatabaseAway, DatabaseError

CONNECT_TIMEOUT_S = 10
SILENT_SERVER_LIMIT_MS = 30_000
LOCK_LIMIT = "30s"
ROWS_PER_FETCH = 5_000

# What the server, or the way to it, says for good: of a refused connection libpq hands on no
# SQLSTATE, only text. Whatever else it is may pass (or is in another language): it is waited for.
_LASTING = re.compile(
    r"authentication|password|does not exist|pg_hba\.conf|not permitted|permission denied"
    r"|does not support SSL|certificate|invalid|not accept(?:ing)? connections to database",
    re.IGNORECASE,
)
# Of a connection that was there: 08 is its loss, 57P01 to 57P03 a server that goes or comes.
_PASSING = re.compile(r"08...|57P0[123]|53300")


@dataclass(frozen=True, slots=True)
class _Place:
    """Which database DATABASE_URL names, for errors."""

    url: str
    parts: Mapping[str, object]

    @classmethod
    def of(cls, url: str) -> "_Place":
        try:
            return cls(url, conninfo.conninfo_to_dict(url))
        except psycopg.Error:
            # The parser's own message may quote the password.
            raise DatabaseError(
                _strange_parameters(url)
                or (
                    "DATABASE_URL is not PostgreSQL's; write postgresql://user:password@host/database"
                )
            ) from None

    def __str__(self) -> str:
        host, port = self.parts.get("host") or "localhost", self.parts.get("port") or 5432
        return f"the database {self.parts.get('dbname') or ''} at {host}:{port}"

    def refused(self, error: psycopg.Error) -> DatabaseError:
        """Return what a failed connection means."""
        text = str(error)
        if _LASTING.search(text):
            return DatabaseError(self._told(error, "; is DATABASE_URL right?"))
        return DatabaseAway(self._told(error, "; is DATABASE_URL right, and the database up?"))

    def failed(self, error: psycopg.Error, what: str, *, is_lost: bool) -> DatabaseError:
        """Return what a failed query means; `is_lost` if its connection is gone."""
        if is_lost or _PASSING.fullmatch(error.sqlstate or ""):
            return DatabaseAway(self._told(error, what))
        is_refused = isinstance(error, psycopg.errors.InsufficientPrivilege)
        return DatabaseError(self._told(error, f"{what}; {GRANTS}" if is_refused else what))

    def _told(self, error: psycopg.Error, end: str) -> str:
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        text = f"{self} cannot be read: {why}{end}"
        for secret in sorted(_secrets(self.url, self.parts), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


class PostgresSession:
    """A connection."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]], place: _Place) -> None:
        self._connection = connection
        self._place = place

    @property
    def database(self) -> str:
        """As `Session` has it."""
        return self._connection.info.dbname

    def rows(self, query: str, **values: Value) -> list[Row]:
        """As `Session` has it."""
        with self._translated(query):
            return list(self._connection.execute(query.encode(), values or None).fetchall())

    def stream(self, query: str, *, above_id: int) -> Iterator[Row]:
        """As `Session` has it."""
        with (
            self._translated(query),
            self._connection.cursor(name="orders_of_the_run") as cursor,
        ):
            cursor.itersize = ROWS_PER_FETCH
            yield from cursor.execute(query.encode(), {"above_id": above_id})

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """As `Session` has it."""
        with self._translated(), self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # Writing a large table out may take longer than the shop allows its own statements.
            self._connection.execute("SET LOCAL statement_timeout = 0")
            self._connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            self._set(AS_STORED)
            yield

    @contextmanager
    def limit(self, limit_s: float) -> Iterator[None]:
        """As `Session` has it."""
        with self._translated(), self._connection.transaction():
            self._set(dict.fromkeys(LIMITS, str(round(limit_s * 1000))))
            yield

    def _set(self, settings: Mapping[str, str]) -> None:
        """Set for this transaction alone: a pooler may give the connection to others after it."""
        for name, value in settings.items():
            self._connection.execute("SELECT set_config(%s, %s, true)", [name, value])

    @contextmanager
    def _translated(self, query: str = "") -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            is_lost = self._connection.closed
            raise self._place.failed(error, subject_of(query), is_lost=is_lost) from None


@contextmanager
def open_postgres(url: str) -> Iterator[PostgresSession]:
    """Connect; DatabaseError, from whatever is done with the session too."""
    place = _Place.of(url)
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            row_factory=dict_row,
            prepare_threshold=None,  # behind a pooler the next statement may go to another server
            connect_timeout=CONNECT_TIMEOUT_S,
            tcp_user_timeout=SILENT_SERVER_LIMIT_MS,
            keepalives_idle=15,
            keepalives_interval=5,
            keepalives_count=3,
            application_name="chaos-shop analysis",
        )
    except psycopg.Error as error:
        raise place.refused(error) from None
    with closing(connection):
        session = PostgresSession(connection, place)
        session.rows("SELECT set_config('lock_timeout', %(limit)s, false)", limit=LOCK_LIMIT)
        yield session


def _strange_parameters(url: str) -> str:
    """Say which parameters of a URL are not PostgreSQL's, as Prisma's `?schema=public` is not."""
    before, _, query = url.partition("?")
    if not before.startswith(("postgresql://", "postgres://")) or "@" in query:
        return ""  # with an `@` it may be a piece of the password
    known = {each.keyword.decode() for each in pq.Conninfo.get_defaults()}
    named = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    strange = [name for name in named if name.isidentifier() and name not in known | {"ssl"}]
    if not strange:
        return ""
    message = (
        f"DATABASE_URL has parameters that are not PostgreSQL's ({', '.join(strange)}): leave "
        "them out"
    )
    if "schema" in strange:
        message += "; a schema is chosen by ?options=-csearch_path%3DNAME"
    return message


def _secrets(url: str, parts: Mapping[str, object]) -> set[str]:
    """Return the password in every form in which an error might quote it.

    One that was not percent-encoded is taken apart by the parser, so its pieces count too.
    """
    between = re.search(r"://[^:/@]*:(.*)@", url)
    raw = between.group(1) if between else ""
    named = (str(parts.get(name) or "") for name in ("password", "sslpassword"))
    return {raw, *re.split(r"[@/?#:]", raw), *named} - {""}
