"""Connections to PostgreSQL: how many, for how long, and who waits for one.

Requests beyond the pool wait in a room of bounded size for a bounded time, and are turned
away when it is full. Threads are therefore never all taken by the database.
"""

import logging
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from shop.errors import BusyError, DatabaseUnavailableError
from shop.observation import metrics
from shop.settings import Settings

if TYPE_CHECKING:
    from shop.database.session import Session

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Below this a statement would be given up before it could have been answered.
LEAST_WAIT_S = 0.01


class Connection(psycopg.Connection[TupleRow]):
    """A connection of which no call outlasts `until`, on the monotonic clock.

    The server's own limits end a statement that is slow. They are of no use against a
    server that is stopped or cut off with its sockets open: only the client can tell.
    """

    until: float | None = None
    prepared: frozenset[str] = frozenset()
    session: "Session | None" = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As psycopg's; a call that takes too long is an OperationalError."""
        if self.until is not None:
            timeout = max(self.until - time.monotonic(), LEAST_WAIT_S)
        return super().wait(gen, interval, timeout)


class Pool:
    """Up to `settings.pool_size` connections, and up to `settings.waiting_room` who wait."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._conninfo = connection_string(settings)
        self._idle: deque[Connection] = deque()
        self._places = threading.Semaphore(settings.pool_size)
        self._lock = threading.Lock()
        self._waiting = 0

    @contextmanager
    def lease(self, until: float) -> Iterator[Connection]:
        """Lend a connection for work that has to end by `until`.

        It is kept afterwards unless it was left in the middle of something. Raises
        BusyError when there is none to be had, DatabaseUnavailableError when none can be made.
        """
        self._enter(until)
        try:
            connection = self._take() or self.connect(until)
            connection.until = until
            try:
                yield connection
            finally:
                if connection.info.transaction_status is TransactionStatus.IDLE:
                    self._idle.append(connection)
                else:
                    connection.close()
        finally:
            self._places.release()

    def connect(self, until: float) -> Connection:
        """Make a connection outside the pool, which the caller closes."""
        limit_s = min(until - time.monotonic(), self._settings.connect_timeout_ms / 1000)
        try:
            # Autocommit: a read is one round trip, and COMMIT is sent where we can see it.
            connection = Connection.connect(
                self._conninfo, autocommit=True, connect_timeout=max(ceil(limit_s), 1)
            )
        except psycopg.OperationalError as error:
            metrics.TROUBLE.labels("connect").inc()
            logger.warning("no connection to the database: %s", describe(error))
            raise DatabaseUnavailableError("the database cannot be reached") from error
        connection.until = until
        return connection

    def close_idle(self) -> None:
        """Close the connections that are not in use: after a failover, or at the end."""
        while connection := self._pop():
            connection.close()

    def _enter(self, until: float) -> None:
        if self._places.acquire(blocking=False):
            return
        with self._lock:
            if self._waiting >= self._settings.waiting_room:
                metrics.TROUBLE.labels("waiting_room_full").inc()
                raise BusyError("too many requests are waiting for the database")
            self._waiting += 1
        limit_s = min(self._settings.pool_timeout_ms / 1000, until - time.monotonic())
        try:
            is_in = self._places.acquire(timeout=max(limit_s, 0))
        finally:
            with self._lock:
                self._waiting -= 1
        if not is_in:
            metrics.TROUBLE.labels("pool_timeout").inc()
            raise BusyError("the database is too busy")

    def _take(self) -> Connection | None:
        while connection := self._pop():
            if _is_quiet(connection):
                return connection
            # Whatever ended this one (a failover, a restart) has ended the others.
            metrics.TROUBLE.labels("idle_connection_lost").inc()
            connection.close()
        return None

    def _pop(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


def connection_string(settings: Settings) -> str:
    """Return the libpq connection string, password included, with a limit on every wait."""
    limits = {
        "lock_timeout": settings.lock_timeout_ms,
        "statement_timeout": settings.statement_timeout_ms,
        "idle_in_transaction_session_timeout": settings.idle_in_transaction_timeout_ms,
    }
    given = conninfo_to_dict(settings.database_url).get("options") or ""
    options = [
        str(given),
        "-c timezone=UTC",
        # Of every statement that commits itself: stricter ones would fail where they may wait.
        "-c default_transaction_isolation=read\\ committed",
        *(f"-c {name}={ms}" for name, ms in limits.items()),
    ]
    return make_conninfo(
        settings.database_url,
        client_encoding="utf8",
        application_name=f"chaos-shop {settings.instance_id}",
        connect_timeout=ceil(settings.connect_timeout_ms / 1000),
        options=" ".join(options).strip(),
        # A server that vanished without a FIN is noticed in seconds, not in two hours.
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=settings.tcp_user_timeout_ms,
    )


def describe(error: psycopg.Error) -> str:
    """Return one line for the log: the class, the SQLSTATE and the first line of the message."""
    lines = (error.diag.message_primary or str(error)).splitlines()
    return f"{type(error).__name__} {error.sqlstate or '-'} {lines[0] if lines else ''}".rstrip()


def _is_quiet(connection: psycopg.Connection[Any]) -> bool:
    # An idle connection has nothing to say, except that its server has closed it. Looking
    # costs no round trip.
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)
