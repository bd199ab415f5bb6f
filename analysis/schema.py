"""What the shop's tables are, and whether this role can read all of them.

Looked at before any load. `orders` and `products` are found by the search path, as by the shop.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.errors import DatabaseError
from analysis.session import Session

__all__ = ["MONEY", "ShopTable", "look_at"]

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

_RELATION = """
    SELECT quote_ident(nspname) || '.' || quote_ident(relname) AS name, pg_class.oid::bigint AS oid,
           relkind::text AS sort, row_security_active(pg_class.oid) AS hides_rows
      FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE pg_class.oid = to_regclass(%(table)s)
"""
# A domain is what it is made of.
_COLUMNS = """
    WITH RECURSIVE made_of (name, number, type) AS (
        SELECT attname::text, attnum, atttypid
          FROM pg_attribute
         WHERE attrelid = to_regclass(%(table)s) AND NOT attisdropped
        UNION ALL
        SELECT made_of.name, number, typbasetype
          FROM made_of JOIN pg_type ON pg_type.oid = made_of.type
         WHERE typtype = 'd'
    )
    SELECT made_of.name, format_type(made_of.type, NULL) AS kind,
           has_column_privilege(to_regclass(%(table)s), number, 'SELECT') AS is_readable
      FROM made_of JOIN pg_type ON pg_type.oid = made_of.type
     WHERE typtype <> 'd'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopTable:
    """A table or view of the shop: its name with its schema, and its columns' types."""

    name: str
    oid: int
    kinds: Mapping[str, str]


def look_at(session: Session, table: str) -> ShopTable:
    """Return what a table is; DatabaseError if it is no shop's, or cannot be read whole."""
    relations = session.rows(_RELATION, table=table)
    if not relations:
        message = (
            f"the database {session.database} is not a shop's: no table {table}{_who(session)}"
        )
        raise DatabaseError(message)
    (relation,) = relations
    name = str(relation["name"])
    if relation["hides_rows"]:
        role = session.rows("SELECT current_user::text AS role")[0]["role"]
        message = (
            f"row-level security hides rows of {name} from the role {role}, and what is hidden "
            f"would count as lost; ALTER ROLE {role} BYPASSRLS, or read as a role that has it"
        )
        raise DatabaseError(message)
    if relation["sort"] in _UNFIT:
        message = f"{name} is {_UNFIT[str(relation['sort'])]}; name a database that has the table"
        raise DatabaseError(message)
    return ShopTable(name=name, oid=int(str(relation["oid"])), kinds=_kinds(session, table, name))


def _kinds(session: Session, table: str, name: str) -> Mapping[str, str]:
    found = session.rows(_COLUMNS, table=table)
    kinds = {str(each["name"]): str(each["kind"]) for each in found}
    missing = [column for column in _NEEDED[table] if column not in kinds]
    if missing:
        message = (
            f"the database {session.database} is not a shop's: "
            f"its table {table} lacks {', '.join(missing)}"
        )
        raise DatabaseError(message)
    wanted = _NEEDED[table] | _OPTIONAL[table]
    hidden = sorted(str(each["name"]) for each in found if not each["is_readable"])
    if closed := [column for column in hidden if column in wanted]:
        role = session.rows("SELECT current_user::text AS role")[0]["role"]
        message = (
            f"the role {role} may not read {', '.join(closed)} of {name}; "
            f"GRANT SELECT ON {name} TO {role}"
        )
        raise DatabaseError(message)
    for column, fitting in wanted.items():
        if fitting and kinds.get(column, fitting[0]) not in fitting:
            message = (
                f"{name}.{column} is {kinds[column]}, which cannot be judged; "
                f"supported: {', '.join(fitting)}"
            )
            raise DatabaseError(message)
    return {column: kind for column, kind in kinds.items() if column not in hidden}


def _who(session: Session) -> str:
    found = session.rows(
        "SELECT current_user::text AS role, current_setting('search_path') AS path"
    )[0]
    return f" that the role {found['role']} sees (search_path: {found['path']})"
