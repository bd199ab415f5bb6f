"""Reads and transactions: in few round trips, within a limit, and honest about failure.

The one module that decides what a failure proves, and what may be done again.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any, Literal, Protocol, TypeVar, cast

import psycopg
from psycopg import errors as pg
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from shop.database.pool import Connection, Pool, describe
from shop.database.session import AtOnce, Row, UnansweredError, Values, open_session, run, trace
from shop.errors import BusyError, DatabaseUnavailableError, LostError, OutcomeUnknownError
from shop.observation import metrics
from shop.settings import Settings

Parameters = Mapping[str, int | str | datetime | None]
T = TypeVar("T")

logger = logging.getLogger(__name__)

# How often a piece of work is done at most, where doing it again is safe.
TRIES = 3
SETTLE_PAUSE_S = 0.05

# The database's trouble rather than the request's. psycopg files the middle two under
# InternalError, everything else of the kind under OperationalError.
TROUBLE = (
    psycopg.OperationalError,
    pg.ReadOnlySqlTransaction,
    pg.IdleInTransactionSessionTimeout,
)
# What makes a connection useless and nothing else: its server may no longer write, it is a
# pooler's, or tables have changed since it prepared a statement ("cached plan must not
# change result type").
STALE = (pg.ReadOnlySqlTransaction, pg.InvalidSqlStatementName, pg.FeatureNotSupported)

# Asked instead of pg_is_in_recovery(): a writer can be told not to write as well.
IS_READ_ONLY = b"SELECT current_setting('transaction_read_only') = 'on'"


class Change(Protocol):
    """A row that a transaction made, as a dataclass, with the id of that transaction."""

    @property
    def xid(self) -> str:
        """From pg_current_xact_id()."""
        ...


C = TypeVar("C", bound=Change)

# Asked over a new connection: what was made, False if nothing was and nothing will be, or
# None as long as that is open.
Question = Callable[[Connection], T | Literal[False] | None]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement that changes something, prepared once per connection.

    `types` are those of its parameters $1, $2 and so on. `trace` is a query whose
    parameters are named as the columns of the statement's row: it is true where that row
    is in the table.
    """

    name: str
    types: tuple[str, ...]
    query: str
    trace: bytes

    @cached_property
    def prepare(self) -> bytes:
        """Make the statement known to a connection."""
        return f"PREPARE {self.name} ({', '.join(self.types)}) AS {self.query}".encode()

    @cached_property
    def begin(self) -> bytes:
        """Open a transaction and run the statement, in one message."""
        values = ", ".join(["%s"] * len(self.types))
        return f"BEGIN ISOLATION LEVEL READ COMMITTED; EXECUTE {self.name} ({values})".encode()


class Database:
    """One request's way to the database. All that it does together ends by `until`."""

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self._pool = pool
        self._until = time.monotonic() + settings.request_timeout_ms / 1000
        self._settle_s = settings.settle_timeout_ms / 1000

    def read(self, row: type[T], query: str, parameters: Parameters | None = None) -> list[T]:
        """Return the rows of one SELECT, each as a `row` made from its columns by name.

        Raises DatabaseUnavailableError.
        """

        def work() -> list[T]:
            with self._lease() as connection:
                return _select(connection, row, query, parameters)

        return self._do(work)

    def find(self, row: type[T], query: str, parameters: Parameters) -> T | None:
        """Return the one row of a SELECT, or None where the server that can write has none.

        One that cannot write may lag behind, or have been left behind by a failover: what it
        has is there, what it has not may be there all the same.

        Raises DatabaseUnavailableError.
        """

        def work() -> T | None:
            with self._lease() as connection:
                rows = _select(connection, row, query, parameters)
                if not rows:
                    if connection.execute(IS_READ_ONLY).fetchone() == (True,):
                        connection.close()
                        raise LostError("the database is read-only")
                    # Only now: it may have become the writer since the first look.
                    rows = _select(connection, row, query, parameters)
                return rows[0] if rows else None

        return self._do(work)

    def transact(
        self, row: type[C], statement: Statement, values: tuple[int | str | None, ...]
    ) -> C | None:
        """Return the row that `statement` made once it is committed, or None if it made none.

        Two round trips: BEGIN with the statement, then COMMIT. They are not one because
        the answer to the first names the transaction, and whoever knows its name can ask
        what became of it: if the answer to COMMIT is lost, a new connection does.

        Raises DatabaseUnavailableError when nothing was changed and OutcomeUnknownError
        when that cannot be told. The latter must never be tried again without a key.
        """

        def work() -> C | None:
            with self._lease() as connection:
                change = _execute(connection, row, statement, values)
                # Given up before COMMIT is sent, it is certain; afterwards it may not be.
                if change is None or time.monotonic() > self._until:
                    connection.execute("ROLLBACK", prepare=False)
                    if change is not None:
                        raise BusyError("the database is too slow")
                    return None
                try:
                    answer = connection.execute("COMMIT", prepare=False).statusmessage
                except psycopg.Error as error:
                    logger.error("COMMIT without an answer: %s", describe(error))
                    connection.close()
                else:
                    if answer == "COMMIT":
                        return change
                    # PostgreSQL answers ROLLBACK where it had given up before.
                    raise LostError("the database took the change back")
                # In the lease still: those who ask are as few as those who order.
                return self._settle(partial(fate, statement, change))

        return self._do(work)

    def transact_at_once(self, statement: AtOnce, values: Values) -> Row | None:
        """Return the row of a statement that commits itself, or None if it did nothing.

        One round trip. If its answer is lost, a new connection ends the old one's session
        and looks for the row.

        Raises as `transact`, for which sending the statement is what sending COMMIT is.
        """

        def work() -> Row | None:
            with self._lease() as connection:
                session = connection.session or open_session(connection, statement)
                connection.session = session
                try:
                    return run(connection, session, values, self._until)
                except UnansweredError as error:
                    logger.error("a statement without an answer: %s", error)
                    connection.close()
                return self._settle(partial(trace, statement, session, values))

        return self._do(work)

    def start_anew(self) -> None:
        """Use no session further that is idle now."""
        self._pool.close_idle()

    @contextmanager
    def _lease(self) -> Iterator[Connection]:
        """Lend a connection, with psycopg's errors translated to ours."""
        with self._pool.lease(self._until) as connection:
            try:
                yield connection
            except (*TROUBLE, *STALE) as error:
                logger.warning("database trouble: %s", describe(error))
                metrics.TROUBLE.labels(type(error).__name__).inc()
                raise _translate(error, connection) from error
            finally:
                _roll_back(connection)

    def _do(self, work: Callable[[], T]) -> T:
        for _ in range(TRIES - 1):
            try:
                return work()
            except LostError:
                self._pool.close_idle()  # what ended one connection has ended the idle ones
                metrics.TROUBLE.labels("done_again").inc()
                if time.monotonic() > self._until:
                    raise
        return work()

    def _settle(self, question: Question[T]) -> T:
        """Find out what became of a COMMIT whose answer never came."""
        limit = time.monotonic() + self._settle_s
        while True:
            made = self._ask(question, limit)
            if made is not None:
                metrics.SETTLED.labels("aborted" if made is False else "committed").inc()
                if made is False:
                    raise LostError("the database took the change back")
                return made
            if time.monotonic() + SETTLE_PAUSE_S > limit:
                metrics.SETTLED.labels("unknown").inc()
                raise OutcomeUnknownError("the outcome is unknown")
            time.sleep(SETTLE_PAUSE_S)

    def _ask(self, question: Question[T], limit: float) -> T | Literal[False] | None:
        try:
            with self._pool.connect(limit) as connection:
                return question(connection)
        except (psycopg.Error, DatabaseUnavailableError) as error:
            logger.warning("could not ask what became of a COMMIT: %s", error)
            return None


def fate(statement: Statement, change: C, connection: Connection) -> C | Literal[False] | None:
    """Answer a Question with the change, if it was committed.

    The row itself is looked for as well as the transaction's status: after a failover to a
    server that had not heard of the transaction, its id may be another one's.
    """
    # The status first: a row that is committed by then is seen by the second.
    status = connection.execute(
        "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_xact_status(%s::text::xid8) END",
        (change.xid,),
    ).fetchone()
    found = connection.execute(statement.trace, asdict(cast(Any, change))).fetchone()
    if found == (True,):
        return change
    return False if status == ("aborted",) else None


def _select(
    connection: Connection, row: type[T], query: str, parameters: Parameters | None
) -> list[T]:
    with connection.cursor(row_factory=class_row(row)) as cursor:
        # bytes, as psycopg's types want a literal or a composed query in str.
        return cursor.execute(query.encode(), parameters).fetchall()


def _execute(
    connection: Connection, row: type[C], statement: Statement, values: tuple[int | str | None, ...]
) -> C | None:
    if statement.name not in connection.prepared:
        connection.execute(statement.prepare, prepare=False)
        connection.prepared |= {statement.name}
    # Values are bound by psycopg: PostgreSQL takes several statements in one message only
    # without parameters of their own.
    with psycopg.ClientCursor(connection, row_factory=class_row(row)) as cursor:
        cursor.execute(statement.begin, values)
        cursor.set_result(-1)
        return cursor.fetchone()


def _roll_back(connection: Connection) -> None:
    # In any other state it is idle, or will be closed.
    if connection.info.transaction_status in {
        TransactionStatus.INTRANS,
        TransactionStatus.INERROR,
    }:
        try:
            connection.execute("ROLLBACK", prepare=False)
        except psycopg.Error:
            connection.close()  # the server rolls back what is not committed


def _translate(error: psycopg.Error, connection: Connection) -> DatabaseUnavailableError:
    """Return our error for one of psycopg's that came before COMMIT was sent."""
    if isinstance(error, pg.LockNotAvailable | pg.QueryCanceled):
        return BusyError("the database is too busy")
    if isinstance(error, pg.SerializationFailure | pg.DeadlockDetected):
        return LostError("the database is too busy")
    if isinstance(error, STALE):
        connection.close()
    if isinstance(error, pg.ReadOnlySqlTransaction):
        return LostError("the database is read-only")
    if time.monotonic() >= (connection.until or 0):
        connection.close()
        return BusyError("the database did not answer in time")
    return LostError("the database cannot be reached")
