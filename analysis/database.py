"""The one module that talks to PostgreSQL: has it come to rest, and what do its tables hold.

It reads only. No text that leaves this module holds a password.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import dict_row

from analysis.errors import DatabaseError
from analysis.records import OrderRow, format_time, parse_time
from analysis.run import Settle

CONNECT_TIMEOUT_S = 10
SILENT_SERVER_LIMIT_MS = 30_000
LOCK_LIMIT = "30s"
POLL_INTERVAL_S = 0.5
ROWS_PER_FETCH = 5_000

_NEEDED_COLUMNS = {
    "orders": ("id", "product_id", "quantity", "total"),
    "products": ("id", "name", "price", "stock"),
}

# Sessions of other users hide everything but their existence from a plain role; the lock that
# each transaction holds on its own virtual id is visible all the same. A transaction that began
# after the run counts where it has the tables locked for writing: a late request may do that.
_OPEN_TRANSACTIONS: LiteralString = """
    SELECT activity.pid, coalesce(activity.state, 'hidden') AS state,
           activity.xact_start, activity.application_name
      FROM pg_stat_activity AS activity
     WHERE activity.datname = current_database()
       AND activity.pid <> pg_backend_pid()
       AND coalesce(activity.backend_type, 'client backend') = 'client backend'
       AND activity.usesysid IS NOT NULL
       AND (activity.xact_start <= %(since)s
            OR EXISTS (SELECT FROM pg_locks AS held
                        WHERE held.pid = activity.pid
                          AND (held.locktype = 'virtualxid' AND held.granted
                               AND activity.xact_start IS NULL
                               AND activity.state IS NULL
                            OR held.relation = ANY (ARRAY[to_regclass('orders'),
                                                          to_regclass('products')]::oid[])
                               AND held.mode NOT IN ('AccessShareLock'))))
    UNION ALL
    SELECT NULL, 'prepared', prepared, gid
      FROM pg_prepared_xacts
     WHERE database = current_database()
     ORDER BY xact_start, pid
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRow:
    """A row of the products table, now."""

    id: int
    name: str
    price: Decimal | None
    stock: int | None


class Database:
    """A connection to the shop's database. Open it with `connect`."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self._connection = connection

    def settle(self, *, limit_s: float) -> Settle:
        """Wait until no transaction is open that could still add orders, up to a limit.

        Two looks in a row must find no such transaction and the same last order.
        """
        began = time.monotonic()
        since = self._one("SELECT clock_timestamp() AS now")["now"]
        last_seen: int | None = None
        while True:
            still_open = self._open_transactions(since)
            last_order = self._last_order_id()
            waited_s = round(time.monotonic() - began, 3)
            is_settled = not still_open and last_order == last_seen
            if is_settled or (waited_s >= limit_s and last_seen is not None):
                return Settle(
                    settled=is_settled, waited_s=waited_s, open_transactions=tuple(still_open)
                )
            last_seen = last_order
            time.sleep(min(POLL_INTERVAL_S, max(0.01, limit_s - waited_s)))

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """Give one unchanging view of the tables."""
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # Writing a large table out may take longer than the shop allows its own statements.
            self._connection.execute("SET LOCAL statement_timeout = 0")
            self._connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield Snapshot(self._connection)

    def rows_of(self, order_keys: Sequence[str], *, limit_s: float) -> list[tuple[str, str]]:
        """Return the order key and the attempt id of each row that has one of these keys.

        DatabaseError where rows carry no keys, or if it takes longer than `limit_s`.
        """
        columns = _columns(self._connection, "orders")
        if "order_key" not in columns:
            message = "rows carry no order key, so no attempt can be looked up while the run is on"
            raise DatabaseError(message)
        attempt_id = "coalesce(attempt_id::text, '')" if "attempt_id" in columns else "''"
        limit_ms = str(round(limit_s * 1000))
        for name in ("statement_timeout", "lock_timeout"):
            self._connection.execute("SELECT set_config(%s, %s, false)", [name, limit_ms])
        found = self._connection.execute(
            sql.SQL(
                "SELECT order_key, {} AS attempt_id FROM orders WHERE order_key = ANY(%s)"
            ).format(sql.SQL(attempt_id)),
            [list(order_keys)],
        ).fetchall()
        return [(each["order_key"], each["attempt_id"]) for each in found]

    def _open_transactions(self, since: object) -> list[dict[str, Any]]:
        found = self._connection.execute(_OPEN_TRANSACTIONS, {"since": since}).fetchall()
        return [
            {
                "pid": each["pid"],
                "state": each["state"],
                "xact_start": _as_text(each["xact_start"]),
                "application_name": each["application_name"] or "",
            }
            for each in found
        ]

    def _last_order_id(self) -> int:
        self._check_table("orders")
        return int(self._one("SELECT coalesce(max(id), 0) AS last FROM orders")["last"])

    def _check_table(self, table: str) -> None:
        _columns(self._connection, table)

    def _one(self, query: LiteralString) -> dict[str, Any]:
        row = self._connection.execute(query).fetchone()
        return row or {}


class Snapshot:
    """The tables as they stood at one moment."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self._connection = connection
        self._order_columns = _columns(connection, "orders")
        _columns(connection, "products")

    def products(self) -> list[ProductRow]:
        """Return every product, by id."""
        found = self._connection.execute(
            "SELECT id::bigint, name::text, price::numeric, stock::bigint FROM products ORDER BY 1"
        )
        return [ProductRow(**each) for each in found]

    def max_order_id(self) -> int:
        """Return the highest order id; 0 where there is none."""
        row = self._connection.execute("SELECT coalesce(max(id), 0) AS id FROM orders").fetchone()
        return int(row["id"]) if row else 0

    def count_orders(self, *, up_to_id: int) -> int:
        """Return how many orders have this id or a lower one."""
        query: LiteralString = "SELECT count(*) AS found FROM orders WHERE id <= %s"
        row = self._connection.execute(query, [up_to_id]).fetchone()
        return int(row["found"]) if row else 0

    def orders(self, *, above_id: int) -> Iterator[OrderRow]:
        """Yield the orders with a higher id, by id, without ever holding all of them."""
        query = self._orders_query()
        with self._connection.cursor(name="orders_of_the_run") as cursor:
            cursor.itersize = ROWS_PER_FETCH
            for row in cursor.execute(query, {"above_id": above_id}):
                yield OrderRow(**row)

    def _orders_query(self) -> sql.Composed:
        columns = {
            "id": sql.SQL("id::bigint"),
            "product_id": sql.SQL("product_id::bigint"),
            "quantity": sql.SQL("quantity::bigint"),
            "total": sql.SQL("total::numeric"),
            **{name: self._text(name) for name in ("status", "order_key", "attempt_id")},
            "served_by": self._text("served_by"),
            "created_at": self._created_at(),
            "committed_at": self._committed_at(),
        }
        selected = sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(expression, sql.Identifier(name))
            for name, expression in columns.items()
        )
        return sql.SQL("SELECT {} FROM orders WHERE id > %(above_id)s ORDER BY orders.id").format(
            selected
        )

    def _text(self, column: str) -> sql.Composable:
        if column not in self._order_columns:
            return sql.SQL("''")
        return sql.SQL("coalesce({}::text, '')").format(sql.Identifier(column))

    def _created_at(self) -> sql.Composable:
        """Without a time zone it is in the database's own."""
        kind = self._order_columns.get("created_at")
        if kind is None:
            return sql.SQL("NULL::bigint")
        if kind == "timestamp without time zone":
            return _microseconds(sql.SQL("(created_at AT TIME ZONE current_setting('TimeZone'))"))
        return _microseconds(sql.SQL("created_at::timestamptz"))

    def _committed_at(self) -> sql.Composable:
        """When the row's last version was committed, where the server keeps track of that."""
        tracked = self._connection.execute("SHOW track_commit_timestamp").fetchone()
        if not tracked or tracked["track_commit_timestamp"] != "on":
            return sql.SQL("NULL::bigint")
        if "xmin" not in self._order_columns:  # a view has no row versions
            return sql.SQL("NULL::bigint")
        return _microseconds(sql.SQL("pg_xact_commit_timestamp(orders.xmin)"))


@contextmanager
def connect(url: str) -> Iterator[Database]:
    """Connect to the shop's database; DatabaseError, in one line without the password."""
    with _translated(url), _open(url) as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_LIMIT])
        _refuse_replica(connection)
        yield Database(connection)


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


def _refuse_replica(connection: psycopg.Connection[dict[str, Any]]) -> None:
    """A replica lags, and knows nothing of open transactions: what it lacks may be there."""
    found = connection.execute("SELECT pg_is_in_recovery() AS is_replica").fetchone()
    if found and found["is_replica"]:
        message = "DATABASE_URL names a replica, which may lag behind; name the primary (writer)"
        raise DatabaseError(message)


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


def _columns(connection: psycopg.Connection[dict[str, Any]], table: str) -> dict[str, str]:
    """Return a table's columns and their types; DatabaseError if it is no shop's."""
    found = connection.execute(
        """
        SELECT attname, format_type(atttypid, NULL) AS kind
          FROM pg_attribute
         WHERE attrelid = to_regclass(%s) AND NOT attisdropped
        """,
        [table],
    ).fetchall()
    columns = {each["attname"]: each["kind"] for each in found}
    missing = [name for name in _NEEDED_COLUMNS[table] if name not in columns]
    if missing:
        what = f"its table {table} lacks {', '.join(missing)}" if columns else f"no table {table}"
        message = f"the database {connection.info.dbname} is not a shop's: {what}"
        raise DatabaseError(message)
    return columns


def _microseconds(moment: sql.Composable) -> sql.Composed:
    """Microseconds since the epoch, exact; infinity is as good as unknown."""
    return sql.SQL(
        "CASE WHEN isfinite({0}) THEN (extract(epoch FROM {0}) * 1000000)::bigint END"
    ).format(moment)


def _as_text(moment: datetime | None) -> str:
    return "" if moment is None else format_time(parse_time(moment.isoformat()))
