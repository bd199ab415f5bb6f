"""Statements that commit themselves, in one round trip, on a session whose end can be proved.

A transaction whose COMMIT is sent along with its statement cannot be named beforehand, as
`shop.database.transactions` does with others. Instead its session holds an advisory lock, the
mark, for as long as it lives, and no other session knows the statement. When an answer is lost:
once somebody else has been given the mark, nothing of what was sent can still be done, and
the rows tell what was done.
"""

import secrets
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import errors as pg
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from shop.database.pool import LEAST_WAIT_S, Connection

Values = Sequence[int | str | None]
Row = list[str]

# A session alone and not its transaction holds the mark. Both numbers are the session's own:
# locks with two are never those with one, which keys take.
OPEN = """
SELECT pg_advisory_lock({mark}), pg_postmaster_start_time()::text,
       extract(epoch FROM clock_timestamp())::text;
PREPARE {name} ({types}) AS {query}
"""

# One that waits for a lock does not notice that nobody waits for it; one that waits for a
# standby has committed, and must not be seen to have before the standby has it too.
END = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND (classid, objid, objsubid) = ({mark}, 2)
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND wait_event IS DISTINCT FROM 'SyncRep'
"""


class UnansweredError(Exception):
    """The statement was sent, and its answer never came."""


@dataclass(frozen=True, kw_only=True)
class AtOnce:
    """A statement that changes something and is committed with it, or changes nothing.

    `types` are those of its parameters $1, $2 and so on. The last is the second since 1970,
    on the server's clock, from which on it must do nothing. `trace` is a query with the
    others that returns the same row as the statement has, where it was done.
    """

    name: str
    types: tuple[str, ...]
    query: str
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What makes a connection's session known beyond the connection."""

    name: bytes
    mark: str
    server: str
    ahead_s: float


def open_session(connection: Connection, statement: AtOnce) -> Session:
    """Mark the connection's session, and make the statement known to it alone."""
    first, second = secrets.randbits(31), secrets.randbits(31)
    mark, name = f"{first}, {second}", f"{statement.name}_{first:x}_{second:x}"
    query = OPEN.format(
        mark=mark, name=name, types=", ".join(statement.types), query=statement.query
    )
    try:
        found = connection.execute(query.encode(), prepare=False).fetchone()
    except psycopg.Error:
        connection.close()  # or the mark would be held on, and another each time it is tried
        raise
    assert found is not None
    return Session(
        name=name.encode(),
        mark=mark,
        server=found[1],
        ahead_s=float(found[2]) - time.monotonic(),
    )


def run(connection: Connection, session: Session, values: Values, until: float) -> Row | None:
    """Return the row of the session's statement, which is then committed, or None.

    Raises UnansweredError if that cannot be told, and psycopg's errors if nothing was done.
    """
    late = until + session.ahead_s
    parameters = [None if value is None else str(value).encode() for value in (*values, late)]
    try:
        connection.pgconn.send_query_prepared(session.name, parameters)
        results = _receive(connection, until)
    except psycopg.OperationalError as error:
        raise UnansweredError(str(error)) from error
    # The row comes before its commit is done: only a server that is ready again has done it.
    pgconn = connection.pgconn
    if pgconn.status != ConnStatus.OK or pgconn.transaction_status != TransactionStatus.IDLE:
        raise UnansweredError("the connection is lost")
    for result in results:
        if result.status != ExecStatus.TUPLES_OK:
            raise pg.error_from_result(result)
    (result,) = results
    if result.ntuples == 0:
        return None
    return [(result.get_value(0, n) or b"").decode() for n in range(result.nfields)]


def trace(
    statement: AtOnce, session: Session, values: Values, connection: Connection
) -> Row | Literal[False] | None:
    """Look, on another connection, for what the session's statement did.

    False if it did nothing and never will, None if that is open.
    """
    # In this order: what the session did before its end is seen by the second.
    is_over = end(session, connection)
    found = connection.execute(statement.trace.encode(), values).fetchone()
    if found is not None:
        return list(found)
    return False if is_over else None


def end(session: Session, connection: Connection) -> bool:
    """End the session, if it has not, and return whether that is certain.

    Asked on another connection. A server that was restarted or took over meanwhile is never
    certain: that nobody has the mark there says nothing of where it was given.
    """
    here = connection.execute("SELECT pg_is_in_recovery(), pg_postmaster_start_time()::text")
    if here.fetchone() != (False, session.server):
        return False
    is_free = connection.execute(f"SELECT pg_try_advisory_lock({session.mark})".encode())
    if is_free.fetchone() != (True,):
        connection.execute(END.format(mark=session.mark).encode())
        connection.execute(f"SELECT pg_advisory_lock({session.mark})".encode())
    return True


def _receive(connection: Connection, until: float) -> list[PGresult]:
    # Below psycopg's cursors, which take as long again as everything else of an order's.
    pgconn = connection.pgconn
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN)
    results: list[PGresult] = []
    while pgconn.flush():
        poll.modify(pgconn.socket, select.POLLIN | select.POLLOUT)
        _wait(poll, until)
        pgconn.consume_input()
        poll.modify(pgconn.socket, select.POLLIN)
    while True:
        while pgconn.is_busy():
            _wait(poll, until)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            return results
        results.append(result)


def _wait(poll: select.poll, until: float) -> None:
    if not poll.poll(max(until - time.monotonic(), LEAST_WAIT_S) * 1000):
        raise psycopg.OperationalError("no answer in time")
