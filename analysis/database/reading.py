"""Has the shop's database come to rest, and what do its tables hold. It is only ever read."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal

from analysis.database.data_api import SCHEME, open_data_api
from analysis.database.postgres import open_postgres
from analysis.database.schema import PARTS, ShopTable, look_at
from analysis.database.session import Session
from analysis.evidence.errors import DatabaseAway, DatabaseError
from analysis.evidence.records import OrderRow, format_time
from analysis.evidence.run import Settle

POLL_INTERVAL_S = 0.5

# A role may be read only of its own choice; a whole server is when it is not the writer.
_STANDING = """
    SELECT pg_is_in_recovery() AS is_replica,
           EXISTS (SELECT FROM pg_settings
                    WHERE name = 'default_transaction_read_only' AND setting = 'on'
                      AND source NOT IN ('user', 'database user', 'client', 'session'))
           AS is_read_only
"""

# Sessions of other users hide everything but their existence from a plain role, and all do where
# track_activities is off (`disabled`); the lock that each transaction holds on its own virtual id
# is visible all the same. A transaction that began after the run counts where it has the tables
# locked for writing: a late request may do that.
# `shop` is the tables, their partitions and what their views read.
#
# Not waited for is who cannot be a request of the run: all that is left of a dump or a report that
# somebody forgot. It was there when the run began, has not been sent a word since, and has neither
# a lock to write with nor a transaction id. A request that hangs before its INSERT has been.
_OPEN_TRANSACTIONS = """
    WITH RECURSIVE {parts}, shop (oid) AS (
        SELECT unnest(ARRAY[to_regclass('orders'), to_regclass('products')]::oid[])
        UNION
        SELECT part.oid FROM part JOIN shop ON whole = shop.oid
    ), writer AS (
        SELECT pid, coalesce(bool_or(relation IN (SELECT oid FROM shop)), false) AS is_in_shop
          FROM pg_locks
         WHERE mode NOT IN ('AccessShareLock', 'SIReadLock') AND locktype <> 'virtualxid'
         GROUP BY pid
    )
    SELECT activity.pid, coalesce(activity.state, 'hidden') AS state,
           {xact_start} AS xact_start, activity.application_name::text AS application_name,
           coalesce(coalesce(activity.state, 'disabled') = 'disabled' OR writer.pid IS NOT NULL
                    OR activity.backend_xid IS NOT NULL
                    OR greatest(activity.xact_start, activity.state_change) > {run_began},
                    true) AS waited_for
      FROM pg_stat_activity AS activity LEFT JOIN writer ON writer.pid = activity.pid
     WHERE activity.datname = current_database()
       AND activity.pid <> pg_backend_pid()
       AND coalesce(activity.backend_type, 'client backend') = 'client backend'
       AND activity.usesysid IS NOT NULL
       AND (activity.xact_start <= {since}
            OR writer.is_in_shop
            OR activity.xact_start IS NULL AND coalesce(activity.state, 'disabled') = 'disabled'
               AND EXISTS (SELECT FROM pg_locks AS held
                            WHERE held.pid = activity.pid
                              AND held.locktype = 'virtualxid' AND held.granted))
    UNION ALL
    SELECT NULL, 'prepared', {prepared}, gid, true
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

    def settle(self, *, limit_s: float, run_began: int | None = None) -> Settle:
        """Wait until no transaction is open that could still add orders, up to a limit.

        Two looks in a row must find no such transaction and the same last order. `run_began` is
        when the run did, by the database's clock: now, if nothing else is said.
        """
        began = time.monotonic()
        since = self._now()
        look_at(self._session, "orders")  # a database that is no shop's is said at once
        last_seen: int | None = None
        while True:
            found = self._open_transactions(since, since if run_began is None else run_began)
            last_order = _last_order_id(self._session)
            waited_s = round(time.monotonic() - began, 3)
            is_at_rest = not any(each["waited_for"] for each in found)
            is_settled = is_at_rest and last_order == last_seen
            if is_settled or (waited_s >= limit_s and last_seen is not None):
                return Settle(
                    settled=is_settled,
                    waited_s=waited_s,
                    open_transactions=tuple(found),
                    database_time=self._now(),
                )
            last_seen = last_order
            time.sleep(min(POLL_INTERVAL_S, max(0.01, limit_s - waited_s)))

    def identity(self) -> dict[str, str]:
        """Return what tells this database from others, as far as the role may know it."""
        (found,) = self._session.rows(
            "SELECT oid::bigint AS oid, has_function_privilege('pg_control_system()', 'EXECUTE')"
            " AS is_open FROM pg_database WHERE datname = current_database()"
        )
        known = {"database": f"{self._session.database} (oid {found['oid']})"}
        if found["is_open"]:
            # A service may have it closed in a way of its own.
            with suppress(DatabaseError):
                query = "SELECT system_identifier::text AS system FROM pg_control_system()"
                known["system"] = str(self._session.rows(query)[0]["system"])
        return known

    def _now(self) -> int:
        now = _microseconds("clock_timestamp()")
        return _whole(self._session.rows(f"SELECT {now} AS now")[0]["now"])

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """Give one unchanging view of the tables."""
        with self._session.snapshot():
            yield Snapshot(self._session)

    def rows_of(self, order_keys: Sequence[str], *, limit_s: float) -> list[tuple[str, str]]:
        """Return the order key and the attempt id of each row that has one of these keys.

        DatabaseError where rows carry no keys, or if it takes longer than `limit_s`.
        """
        columns = look_at(self._session, "orders").kinds
        if "order_key" not in columns:
            raise DatabaseError(
                "rows carry no order key, so no attempt can be looked up while the run is on"
            )
        attempt_id = "coalesce(attempt_id::text, '')" if "attempt_id" in columns else "''"
        with self._session.limit(limit_s):
            found = self._session.rows(
                f"SELECT order_key::text, {attempt_id} AS attempt_id FROM orders"  # noqa: S608
                " WHERE order_key::text = ANY(CAST(%(keys)s AS text[]))",
                keys=list(order_keys),
            )
        return [(str(each["order_key"]), str(each["attempt_id"])) for each in found]

    def _open_transactions(self, since: int, run_began: int) -> list[dict[str, object]]:
        query = _OPEN_TRANSACTIONS.format(
            parts=PARTS,
            xact_start=_microseconds("activity.xact_start"),
            prepared=_microseconds("prepared"),
            since=_moment("since"),
            run_began=_moment("run_began"),
        )
        return [
            {
                "pid": each["pid"],
                "state": each["state"],
                "xact_start": ""
                if each["xact_start"] is None
                else format_time(_whole(each["xact_start"])),
                "application_name": each["application_name"] or "",
                "waited_for": bool(each["waited_for"]),
            }
            for each in self._session.rows(query, since=since, run_began=run_began)
        ]


class Snapshot:
    """The tables as they stood at one moment."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._orders, self._products = (look_at(session, each) for each in ("orders", "products"))
        # What hinders reading orders is found before the run, when there are none to be read.
        session.rows(f"{self._orders_query()} LIMIT 0", above_id=0)

    @property
    def tables(self) -> dict[str, str]:
        """Which tables these are."""
        return {
            role: f"{table.name} (oid {table.oid})"
            for role, table in (("orders", self._orders), ("products", self._products))
        }

    @property
    def money(self) -> dict[str, str]:
        """The types in which money is stored."""
        return {"total": self._orders.kinds["total"], "price": self._products.kinds["price"]}

    def products(self) -> list[ProductRow]:
        """Return every product, by id."""
        price = _amount("price", self._products)
        stock = _count("stock", self._products)
        found = self._session.rows(
            f"SELECT id::bigint AS id, name::text AS name, {price} AS price,"  # noqa: S608
            f" {stock} AS stock FROM products ORDER BY 1"
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
        return _last_order_id(self._session)

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
            "product_id": _count("product_id", self._orders),
            "quantity": _count("quantity", self._orders),
            "total": _amount("total", self._orders),
            **{name: self._text(name) for name in ("status", "order_key", "attempt_id")},
            "served_by": self._text("served_by"),
            "created_at": self._created_at(),
            "committed_at": self._committed_at(),
        }
        selected = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
        # Names and expressions of ours alone, none of the database's.
        return f"SELECT {selected} FROM orders WHERE id > %(above_id)s ORDER BY orders.id"  # noqa: S608

    def _text(self, column: str) -> str:
        return f"coalesce({column}::text, '')" if column in self._orders.kinds else "''"

    def _created_at(self) -> str:
        """Without a time zone it is in the database's own."""
        kind = self._orders.kinds.get("created_at")
        if kind is None:
            return "NULL::bigint"
        if kind == "timestamp without time zone":
            return _microseconds("(created_at AT TIME ZONE current_setting('TimeZone'))")
        return _microseconds("created_at::timestamptz")

    def _committed_at(self) -> str:
        """When the row's last version was committed, where the server keeps track of that."""
        tracked = self._session.rows("SELECT current_setting('track_commit_timestamp') AS is_on")
        # A view has no row versions.
        if tracked[0]["is_on"] != "on" or "xmin" not in self._orders.kinds:
            return "NULL::bigint"
        return _microseconds("pg_xact_commit_timestamp(orders.xmin)")


@contextmanager
def connect(url: str) -> Iterator[Database]:
    """Connect to the shop's database; DatabaseError, in one line without the password."""
    with open_data_api(url) if url.startswith(SCHEME) else open_postgres(url) as session:
        _refuse_replica(session)
        yield Database(session)


def _refuse_replica(session: Session) -> None:
    """A replica lags, and knows nothing of open transactions: what it lacks may be there.

    So may what the old writer lacks after a failover; it can be told by taking no orders any more.
    """
    (found,) = session.rows(_STANDING)
    if found["is_replica"]:
        raise DatabaseAway(
            "DATABASE_URL names a replica, which may lag behind; name the primary (writer)"
        )
    if found["is_read_only"]:
        raise DatabaseAway(
            "the server at DATABASE_URL takes no writes (default_transaction_read_only), as an "
            "old writer after a failover; name the primary (writer)"
        )


def _amount(column: str, table: ShopTable) -> str:
    """Money to its last digit: floating point as numeric would be cut to 6 or 15 digits."""
    is_floating = table.kinds[column] in {"real", "double precision"}
    return f"{column}::text" if is_floating else f"{column}::numeric::text"


def _count(column: str, table: ShopTable) -> str:
    """A whole number; what is none is unknown, and not rounded to one."""
    if table.kinds[column] == "numeric":
        return f"CASE WHEN mod({column}, 1) = 0 THEN {column}::bigint END"
    return f"{column}::bigint"


def _last_order_id(session: Session) -> int:
    found = session.rows("SELECT coalesce(max(id), 0)::bigint AS last FROM orders")
    return _whole(found[0]["last"])


def _moment(name: str) -> str:
    return f"(timestamptz 'epoch' + %({name})s * interval '1 microsecond')"


def _microseconds(moment: str) -> str:
    """Microseconds since the epoch, exact; infinity is as good as unknown."""
    return f"CASE WHEN isfinite({moment}) THEN (extract(epoch FROM {moment}) * 1000000)::bigint END"


def _whole(value: object) -> int:
    return int(str(value))


def _money(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
