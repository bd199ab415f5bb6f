"""Has the shop's database come to rest, and what do its tables hold. It is only ever read."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from analysis.data_api import SCHEME, open_data_api
from analysis.errors import DatabaseError
from analysis.postgres import open_postgres
from analysis.records import OrderRow, format_time
from analysis.run import Settle
from analysis.session import Session

POLL_INTERVAL_S = 0.5

_NEEDED_COLUMNS = {
    "orders": ("id", "product_id", "quantity", "total"),
    "products": ("id", "name", "price", "stock"),
}

# Sessions of other users hide everything but their existence from a plain role; the lock that
# each transaction holds on its own virtual id is visible all the same. A transaction that began
# after the run counts where it has the tables locked for writing: a late request may do that.
_OPEN_TRANSACTIONS = """
    SELECT activity.pid, coalesce(activity.state, 'hidden') AS state,
           {xact_start} AS xact_start, activity.application_name::text AS application_name
      FROM pg_stat_activity AS activity
     WHERE activity.datname = current_database()
       AND activity.pid <> pg_backend_pid()
       AND coalesce(activity.backend_type, 'client backend') = 'client backend'
       AND activity.usesysid IS NOT NULL
       AND (activity.xact_start <= timestamptz 'epoch' + %(since)s * interval '1 microsecond'
            OR EXISTS (SELECT FROM pg_locks AS held
                        WHERE held.pid = activity.pid
                          AND (held.locktype = 'virtualxid' AND held.granted
                               AND activity.xact_start IS NULL
                               AND activity.state IS NULL
                            OR held.relation = ANY (ARRAY[to_regclass('orders'),
                                                          to_regclass('products')]::oid[])
                               AND held.mode NOT IN ('AccessShareLock'))))
    UNION ALL
    SELECT NULL, 'prepared', {prepared}, gid
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
    """The shop's database. Open it with `connect`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def settle(self, *, limit_s: float) -> Settle:
        """Wait until no transaction is open that could still add orders, up to a limit.

        Two looks in a row must find no such transaction and the same last order.
        """
        began = time.monotonic()
        now = _microseconds("clock_timestamp()")
        since = _whole(self._session.rows(f"SELECT {now} AS now")[0]["now"])
        _columns(self._session, "orders")  # a database that is no shop's is said at once
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
        with self._session.snapshot():
            yield Snapshot(self._session)

    def rows_of(self, order_keys: Sequence[str], *, limit_s: float) -> list[tuple[str, str]]:
        """Return the order key and the attempt id of each row that has one of these keys.

        DatabaseError where rows carry no keys, or if it takes longer than `limit_s`.
        """
        columns = _columns(self._session, "orders")
        if "order_key" not in columns:
            message = "rows carry no order key, so no attempt can be looked up while the run is on"
            raise DatabaseError(message)
        attempt_id = "coalesce(attempt_id::text, '')" if "attempt_id" in columns else "''"
        with self._session.limit(limit_s):
            found = self._session.rows(
                f"SELECT order_key::text, {attempt_id} AS attempt_id FROM orders"  # noqa: S608
                " WHERE order_key::text = ANY(CAST(%(keys)s AS text[]))",
                keys=list(order_keys),
            )
        return [(str(each["order_key"]), str(each["attempt_id"])) for each in found]

    def _open_transactions(self, since: int) -> list[dict[str, object]]:
        query = _OPEN_TRANSACTIONS.format(
            xact_start=_microseconds("activity.xact_start"), prepared=_microseconds("prepared")
        )
        return [
            {
                "pid": each["pid"],
                "state": each["state"],
                "xact_start": "" if each["xact_start"] is None else _time(each["xact_start"]),
                "application_name": each["application_name"] or "",
            }
            for each in self._session.rows(query, since=since)
        ]

    def _last_order_id(self) -> int:
        found = self._session.rows("SELECT coalesce(max(id), 0)::bigint AS last FROM orders")
        return _whole(found[0]["last"])


class Snapshot:
    """The tables as they stood at one moment."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._order_columns = _columns(session, "orders")
        _columns(session, "products")

    def products(self) -> list[ProductRow]:
        """Return every product, by id."""
        found = self._session.rows(
            "SELECT id::bigint AS id, name::text AS name, price::numeric::text AS price,"
            " stock::bigint AS stock FROM products ORDER BY 1"
        )
        return [
            ProductRow(
                id=_whole(each["id"]),
                name=str(each["name"]),
                price=_money(each["price"]),
                stock=None if each["stock"] is None else _whole(each["stock"]),
            )
            for each in found
        ]

    def max_order_id(self) -> int:
        """Return the highest order id; 0 where there is none."""
        found = self._session.rows("SELECT coalesce(max(id), 0)::bigint AS id FROM orders")
        return _whole(found[0]["id"])

    def count_orders(self, *, up_to_id: int) -> int:
        """Return how many orders have this id or a lower one."""
        query = "SELECT count(*) AS found FROM orders WHERE id <= %(up_to_id)s"
        return _whole(self._session.rows(query, up_to_id=up_to_id)[0]["found"])

    def orders(self, *, above_id: int) -> Iterator[OrderRow]:
        """Yield the orders with a higher id, by id, without ever holding all of them."""
        for row in self._session.stream(self._orders_query(), above_id=above_id):
            yield OrderRow(**{**row, "total": _money(row["total"])})  # type: ignore[arg-type]

    def _orders_query(self) -> str:
        columns = {
            "id": "id::bigint",
            "product_id": "product_id::bigint",
            "quantity": "quantity::bigint",
            "total": "total::numeric::text",
            **{name: self._text(name) for name in ("status", "order_key", "attempt_id")},
            "served_by": self._text("served_by"),
            "created_at": self._created_at(),
            "committed_at": self._committed_at(),
        }
        selected = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
        # Names and expressions of ours alone, none of the database's.
        return f"SELECT {selected} FROM orders WHERE id > %(above_id)s ORDER BY orders.id"  # noqa: S608

    def _text(self, column: str) -> str:
        return f"coalesce({column}::text, '')" if column in self._order_columns else "''"

    def _created_at(self) -> str:
        """Without a time zone it is in the database's own."""
        kind = self._order_columns.get("created_at")
        if kind is None:
            return "NULL::bigint"
        if kind == "timestamp without time zone":
            return _microseconds("(created_at AT TIME ZONE current_setting('TimeZone'))")
        return _microseconds("created_at::timestamptz")

    def _committed_at(self) -> str:
        """When the row's last version was committed, where the server keeps track of that."""
        tracked = self._session.rows("SELECT current_setting('track_commit_timestamp') AS is_on")
        # A view has no row versions.
        if tracked[0]["is_on"] != "on" or "xmin" not in self._order_columns:
            return "NULL::bigint"
        return _microseconds("pg_xact_commit_timestamp(orders.xmin)")


@contextmanager
def connect(url: str) -> Iterator[Database]:
    """Connect to the shop's database; DatabaseError, in one line without the password."""
    with open_data_api(url) if url.startswith(SCHEME) else open_postgres(url) as session:
        _refuse_replica(session)
        yield Database(session)


def _refuse_replica(session: Session) -> None:
    """A replica lags, and knows nothing of open transactions: what it lacks may be there."""
    if session.rows("SELECT pg_is_in_recovery() AS is_replica")[0]["is_replica"]:
        message = "DATABASE_URL names a replica, which may lag behind; name the primary (writer)"
        raise DatabaseError(message)


def _columns(session: Session, table: str) -> Mapping[str, str]:
    """Return a table's columns and their types; DatabaseError if it is no shop's."""
    found = session.rows(
        """
        SELECT attname::text AS name, format_type(atttypid, NULL) AS kind
          FROM pg_attribute
         WHERE attrelid = to_regclass(%(table)s) AND NOT attisdropped
        """,
        table=table,
    )
    columns = {str(each["name"]): str(each["kind"]) for each in found}
    missing = [name for name in _NEEDED_COLUMNS[table] if name not in columns]
    if missing:
        what = f"its table {table} lacks {', '.join(missing)}" if columns else f"no table {table}"
        message = f"the database {session.database} is not a shop's: {what}"
        raise DatabaseError(message)
    return columns


def _microseconds(moment: str) -> str:
    """Microseconds since the epoch, exact; infinity is as good as unknown."""
    return f"CASE WHEN isfinite({moment}) THEN (extract(epoch FROM {moment}) * 1000000)::bigint END"


def _whole(value: object) -> int:
    return int(str(value))


def _money(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _time(value: object) -> str:
    return format_time(_whole(value))
