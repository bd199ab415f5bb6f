"""What the shop's tables are, and whether this role can read all of them.

Looked at before any load. `orders` and `products` are found by the search path, as by the shop.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.database.session import Session
from analysis.evidence.errors import DatabaseError

_WHOLE = ("smallint", "integer", "bigint", "numeric")
MONEY = ("numeric", "money", "smallint", "integer", "bigint", "real", "double precision")
_TIME = ("timestamp with time zone", "timestamp without time zone", "date")

# What must be there, and of which type. Columns that are not named may be of any.
_NEEDED: dict[str, dict[str, tuple[str, ...]]] = {
    "orders": {"id": _WHOLE, "product_id": _WHOLE, "quantity": _WHOLE, "total": MONEY},
    "products": {"id": _WHOLE, "name": (), "price": MONEY, "stock": _WHOLE},
}
_OPTIONAL: dict[str, dict[str, tuple[str, ...]]] = {
    "orders": {
        "status": (),
        "created_at": _TIME,
        "order_key": (),
        "attempt_id": (),
        "served_by": (),
    },
    "products": {},
}
_UNFIT = {
    "m": "a materialized view, which is only as new as its last refresh",
    "f": "a foreign table, whose open transactions are in another database",
}

# Which relation is a partition of, or is read by, which other.
PARTS = """part (whole, oid) AS (
        SELECT inhparent, inhrelid FROM pg_inherits
        UNION ALL
        SELECT ev_class, refobjid
          FROM pg_rewrite JOIN pg_depend ON objid = pg_rewrite.oid
         WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_class'::regclass
    )"""

_UNFIT_SOURCES = f"""
    WITH RECURSIVE {PARTS}, source (oid) AS (
        SELECT to_regclass(%(table)s)::oid
        UNION
        SELECT part.oid FROM part JOIN source ON whole = source.oid
    )
    SELECT quote_ident(nspname) || '.' || quote_ident(relname) AS table, relkind::text AS sort
      FROM source JOIN pg_class ON pg_class.oid = source.oid
           JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE relkind IN ('m', 'f')
     ORDER BY 1
"""  # noqa: S608 -- of literals

# A domain is what it is made of.
_LOOK = """
    WITH RECURSIVE made_of (name, number, type) AS (
        SELECT attname::text, attnum, atttypid
          FROM pg_attribute
         WHERE attrelid = to_regclass(%(table)s) AND NOT attisdropped
        UNION ALL
        SELECT made_of.name, number, typbasetype
          FROM made_of JOIN pg_type ON pg_type.oid = made_of.type
         WHERE typtype = 'd'
    )
    SELECT quote_ident(nspname) || '.' || quote_ident(relname) AS table, relation.oid::bigint,
           row_security_active(relation.oid) AS hides_rows,
           current_user::text AS role, made_of.name AS column,
           format_type(made_of.type, NULL) AS kind,
           has_column_privilege(relation.oid, number, 'SELECT') AS is_readable
      FROM pg_class AS relation JOIN pg_namespace ON pg_namespace.oid = relnamespace,
           made_of JOIN pg_type ON pg_type.oid = made_of.type
     WHERE relation.oid = to_regclass(%(table)s) AND typtype <> 'd'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopTable:
    """A table or view of the shop: its name with its schema, and its columns' types."""

    name: str
    oid: int
    kinds: Mapping[str, str]


def look_at(session: Session, table: str) -> ShopTable:
    """Return what a table is; DatabaseError if it is no shop's, or cannot be read whole."""
    found = session.rows(_LOOK, table=table)
    if not found:
        message = f"the database {session.database} is not a shop's: no table {table}"
        raise DatabaseError(f"{message}{_searched(session)}")
    name, role = str(found[0]["table"]), str(found[0]["role"])
    if found[0]["hides_rows"]:
        raise DatabaseError(
            f"row-level security hides rows of {name} from the role {role}, and what is hidden "
            f"would count as lost; ALTER ROLE {role} BYPASSRLS, or read as a role that has it"
        )
    for each in session.rows(_UNFIT_SOURCES, table=table):
        what = f"{each['table']} is {_UNFIT[str(each['sort'])]}"
        read = "" if each["table"] == name else f", and {name} reads it"
        raise DatabaseError(f"{what}{read}; name a database that has the table itself")
    kinds = {str(each["column"]): str(each["kind"]) for each in found}
    if missing := [column for column in _NEEDED[table] if column not in kinds]:
        raise DatabaseError(
            f"the database {session.database} is not a shop's: "
            f"its table {table} lacks {', '.join(missing)}"
        )
    closed = {str(each["column"]) for each in found if not each["is_readable"]}
    _refuse_closed(name, role, [column for column in _read_of(table) if column in closed])
    _refuse_unfit(name, table, kinds)
    readable = {column: kind for column, kind in kinds.items() if column not in closed}
    return ShopTable(name=name, oid=int(str(found[0]["oid"])), kinds=readable)


def _read_of(table: str) -> dict[str, tuple[str, ...]]:
    return _NEEDED[table] | _OPTIONAL[table]


def _refuse_closed(name: str, role: str, closed: list[str]) -> None:
    if closed:
        raise DatabaseError(
            f"the role {role} may not read {', '.join(closed)} of {name}; "
            f"GRANT SELECT ON {name} TO {role}"
        )


def _refuse_unfit(name: str, table: str, kinds: Mapping[str, str]) -> None:
    unfit = [
        f"{name}.{column} is {kinds[column]}, which cannot be judged (supported: "
        f"{', '.join(fitting)})"
        for column, fitting in _read_of(table).items()
        if fitting and column in kinds and kinds[column] not in fitting
    ]
    if unfit:
        raise DatabaseError("; ".join(unfit))


def _searched(session: Session) -> str:
    (found,) = session.rows(
        "SELECT current_user::text AS role, current_setting('search_path') AS path"
    )
    return f" that the role {found['role']} sees in search_path {found['path']}"
