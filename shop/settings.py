"""The shop's settings, filled once from the environment at an entry point."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast, get_args

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shop.errors import SettingsError

# 150 pieces, the largest stock of the catalogue, times this still fits an int4 column.
LARGEST_STOCK_FACTOR = 1_000_000
# From what to what a number may go; what is not named here is a timeout.
TIMEOUTS = (1, 600_000)
RANGES = {
    "stock_factor": (1, LARGEST_STOCK_FACTOR),
    "workers": (1, 256),
    "pool_size": (1, 100),
    "waiting_room": (0, 1_000),
}
TEXTS = {"INSTANCE_ID": "instance_id", "AZ": "availability_zone", "PRIVATE_IP": "private_ip"}

# `keyed` is ours. `article` has no column for a key: orders are then placed once per request.
Schema = Literal["keyed", "article"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a server of the shop is told from outside.

    `database_url` is a libpq URL or connection string. It holds the password and is
    therefore left out of the repr. All limits are in milliseconds. A number is read from the
    variable SHOP_ and its name.
    """

    database_url: str = field(repr=False)
    instance_id: str = "unknown"
    availability_zone: str = "unknown"
    private_ip: str = "unknown"
    stock_factor: int = 1
    workers: int = 4
    schema: Schema = "keyed"
    require_key: bool = False
    # Of one worker process: its connections, and how many requests may wait for one.
    pool_size: int = 6
    waiting_room: int = 100
    pool_timeout_ms: int = 2_000
    # Of all that one request does in the database; and, on top, to find out what became
    # of a COMMIT whose answer was lost.
    request_timeout_ms: int = 4_000
    settle_timeout_ms: int = 1_000
    start_timeout_ms: int = 20_000
    connect_timeout_ms: int = 3_000
    lock_timeout_ms: int = 2_000
    statement_timeout_ms: int = 3_000
    idle_in_transaction_timeout_ms: int = 5_000
    tcp_user_timeout_ms: int = 5_000
    # Of a client: to send its request once it has begun to, and to take a part of its answer.
    client_timeout_ms: int = 10_000


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`; an empty variable counts as absent.

    Raises SettingsError, whose one line names the variable and what it should hold.
    """
    database_url = _load_database_url(environ)
    schema, require_key = _load_schema(environ), _load_switch(environ, "SHOP_REQUIRE_KEY")
    if require_key and schema == "article":
        raise SettingsError(
            "SHOP_REQUIRE_KEY is on, and SHOP_SCHEMA=article cannot keep keys: drop one of them"
        )
    values: dict[str, Any] = {
        name: environ[variable] for variable, name in TEXTS.items() if environ.get(variable)
    }
    for each in fields(Settings):
        if each.type is int:
            values[each.name] = _load_int(
                environ,
                f"SHOP_{each.name.upper()}",
                cast(int, each.default),
                RANGES.get(each.name, TIMEOUTS),
            )
    return Settings(database_url=database_url, schema=schema, require_key=require_key, **values)


def _load_database_url(environ: Mapping[str, str]) -> str:
    if url := environ.get("DATABASE_URL"):
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # libpq's own message quotes the text, password and all: hence `from None`.
            raise SettingsError(
                "DATABASE_URL is not a PostgreSQL URL: set it to "
                "postgresql://USER:PASSWORD@HOST:PORT/NAME, special characters percent-encoded"
            ) from None
        return url
    missing = [n for n in ("DB_ENDPOINT", "DB_NAME", "DB_USERNAME") if not environ.get(n)]
    if missing:
        raise SettingsError(
            f"no database is named: set DATABASE_URL, or {', '.join(missing)} as well"
        )
    return make_conninfo(
        host=environ["DB_ENDPOINT"],
        port=_load_int(environ, "DB_PORT", 5432, (1, 65_535)),
        dbname=environ["DB_NAME"],
        user=environ["DB_USERNAME"],
        password=environ.get("DB_PASSWORD") or None,
    )


def _load_schema(environ: Mapping[str, str]) -> Schema:
    text = environ.get("SHOP_SCHEMA") or "keyed"
    if text not in get_args(Schema):
        raise SettingsError(f"SHOP_SCHEMA is {text!r}: set it to {' or '.join(get_args(Schema))}")
    return cast(Schema, text)


def _load_switch(environ: Mapping[str, str], name: str) -> bool:
    text = (environ.get(name) or "0").lower()
    if text not in {"0", "1", "false", "true"}:
        raise SettingsError(f"{name} is {text!r}: set it to 1 or 0")
    return text in {"1", "true"}


def _load_int(environ: Mapping[str, str], name: str, default: int, limits: tuple[int, int]) -> int:
    low, high = limits
    text = (environ.get(name) or str(default)).strip()
    # The length is looked at first: int() of thousands of digits is an error of its own.
    number = int(text) if len(text) <= len(str(high)) and text.isdecimal() else None
    if number is None or not low <= number <= high:
        raise SettingsError(f"{name} is {text!r}: set it to a whole number from {low} to {high}")
    return number
