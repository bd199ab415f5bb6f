"""The shop's way to PostgreSQL: reads, transactions, and what a failure of either proves.

The one module that handles connections and translates psycopg's errors.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from math import ceil
from typing import TypeVar

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, class_row

from shop.errors import DatabaseUnavailableError, OutcomeUnknownError
from shop.settings import Settings

Connection = psycopg.Connection[TupleRow]
Parameters = Mapping[str, int | str | None]
T = TypeVar("T")

logger = logging.getLogger(__name__)

# The database's trouble rather than the request's. Both of the latter are filed by
# psycopg under InternalError, everything else of the kind under OperationalError.
TROUBLE = (psycopg.OperationalError, pg.ReadOnlySqlTransaction, pg.IdleInTransactionSessionTimeout)


class Database:
    """Reads and transactions over connections that are kept between requests.

    There are as many connections as there were requests at one time: one in a sync
    worker. Nothing is asked of a kept connection before it is used. If it turns out to
    be dead, or to lead to a server that has become read-only, the work is done once more
    on a new one, which is safe because no COMMIT had been sent.
    """

    def __init__(self, settings: Settings) -> None:
        self._conninfo = connection_string(settings)
        self._idle: deque[Connection] = deque()

    def read(self, row: type[T], query: str, parameters: Parameters | None = None) -> list[T]:
        """Return the rows of one SELECT, each as a `row` made from its columns by name.

        Raises DatabaseUnavailableError.
        """

        def work(connection: Connection) -> list[T]:
            with connection.cursor(row_factory=class_row(row)) as cursor:
                # bytes, as psycopg's types want a literal or a composed query in str.
                return cursor.execute(query.encode(), parameters).fetchall()

        return self._run(work)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, once its transaction has been committed.

        `work` may be called twice, and is rolled back if it raises. Raises
        DatabaseUnavailableError when nothing was changed and OutcomeUnknownError when
        that cannot be told. The latter must never be tried again without a key.
        """
        return self._run(lambda connection: _transact(connection, work))

    def close(self) -> None:
        """Close the connections that are not in use."""
        while connection := self._take():
            connection.close()

    def _run(self, work: Callable[[Connection], T]) -> T:
        if connection := self._take():
            try:
                return self._use(connection, work)
            except DatabaseUnavailableError:
                if not connection.closed:
                    raise
            # What killed this one (a failover, a restart) has killed the other idle ones.
            self.close()
        return self._use(self._connect(), work)

    def _use(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        try:
            return work(connection)
        except TROUBLE as error:
            logger.warning("database trouble: %s", describe(error))
            if isinstance(error, pg.ReadOnlySqlTransaction):
                connection.close()
            raise DatabaseUnavailableError(_explain(error)) from error
        finally:
            # Anything but idle means that a failure left it in the middle of something.
            if connection.info.transaction_status is TransactionStatus.IDLE:
                self._idle.append(connection)
            else:
                connection.close()

    def _take(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self) -> Connection:
        try:
            # Autocommit: a read is one round trip, and COMMIT is sent where we can see it.
            return psycopg.connect(self._conninfo, autocommit=True)
        except psycopg.OperationalError as error:
            logger.warning("no connection to the database: %s", describe(error))
            raise DatabaseUnavailableError("the database cannot be reached") from error


def connection_string(settings: Settings) -> str:
    """Return the libpq connection string, password included, with a limit on every wait."""
    limits = {
        "lock_timeout": settings.lock_timeout_ms,
        "statement_timeout": settings.statement_timeout_ms,
        "idle_in_transaction_session_timeout": settings.idle_in_transaction_timeout_ms,
    }
    given = conninfo_to_dict(settings.database_url).get("options") or ""
    options = [str(given), "-c timezone=UTC", *(f"-c {name}={ms}" for name, ms in limits.items())]
    return make_conninfo(
        settings.database_url,
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


def _transact(connection: Connection, work: Callable[[Connection], T]) -> T:
    # prepare=False: these three save nothing by being prepared, and stay legible on the wire.
    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED", prepare=False)
    try:
        result = work(connection)
    except BaseException:
        # In any other state the connection is dead or in mid-statement, and will be closed.
        if connection.info.transaction_status in {
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        }:
            connection.execute("ROLLBACK", prepare=False)
        raise
    try:
        answer = connection.execute("COMMIT", prepare=False).statusmessage
    except psycopg.Error as error:
        logger.error("COMMIT without an answer: %s", describe(error))
        raise OutcomeUnknownError("the outcome is unknown") from error
    if answer != "COMMIT":  # PostgreSQL answers ROLLBACK where it had given up before
        raise DatabaseUnavailableError("the database took the change back")
    return result


def _explain(error: psycopg.Error) -> str:
    if isinstance(error, pg.LockNotAvailable | pg.QueryCanceled):
        return "the database is too busy"
    if isinstance(error, pg.ReadOnlySqlTransaction):
        return "the database is read-only"
    return "the database cannot be reached"
