"""The shop's settings, filled once from the environment at an entry point."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shop.errors import SettingsError

# 150 pieces, the largest stock of the catalogue, times this still fits an int4 column.
LARGEST_STOCK_FACTOR = 1_000_000
LARGEST_TIMEOUT_MS = 600_000

# `keyed` is ours. `article` has no column for a key: orders are then placed once per request.
Schema = Literal["keyed", "article"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a server of the shop is told from outside.

    `database_url` is a libpq URL or connection string. It holds the password and is
    therefore left out of the repr. All limits are in milliseconds.
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
    defaults = Settings(database_url=_load_database_url(environ))

    def limit_ms(name: str, default: int) -> int:
        return _load_int(environ, name, default, low=1, high=LARGEST_TIMEOUT_MS)

    schema, require_key = _load_schema(environ), _load_switch(environ, "SHOP_REQUIRE_KEY")
    if require_key and schema == "article":
        raise SettingsError(
            "SHOP_REQUIRE_KEY is on, and SHOP_SCHEMA=article cannot keep keys: drop one of them"
        )
    return Settings(
        schema=schema,
        require_key=require_key,
        pool_size=_load_int(environ, "SHOP_POOL_SIZE", defaults.pool_size, low=1, high=100),
        waiting_room=_load_int(
            environ, "SHOP_WAITING_ROOM", defaults.waiting_room, low=0, high=1_000
        ),
        pool_timeout_ms=limit_ms("SHOP_POOL_TIMEOUT_MS", defaults.pool_timeout_ms),
        request_timeout_ms=limit_ms("SHOP_REQUEST_TIMEOUT_MS", defaults.request_timeout_ms),
        settle_timeout_ms=limit_ms("SHOP_SETTLE_TIMEOUT_MS", defaults.settle_timeout_ms),
        database_url=defaults.database_url,
        instance_id=environ.get("INSTANCE_ID") or defaults.instance_id,
        availability_zone=environ.get("AZ") or defaults.availability_zone,
        private_ip=environ.get("PRIVATE_IP") or defaults.private_ip,
        stock_factor=_load_int(
            environ, "SHOP_STOCK_FACTOR", defaults.stock_factor, low=1, high=LARGEST_STOCK_FACTOR
        ),
        workers=_load_int(environ, "SHOP_WORKERS", defaults.workers, low=1, high=256),
        start_timeout_ms=limit_ms("SHOP_START_TIMEOUT_MS", defaults.start_timeout_ms),
        connect_timeout_ms=limit_ms("SHOP_CONNECT_TIMEOUT_MS", defaults.connect_timeout_ms),
        lock_timeout_ms=limit_ms("SHOP_LOCK_TIMEOUT_MS", defaults.lock_timeout_ms),
        statement_timeout_ms=limit_ms("SHOP_STATEMENT_TIMEOUT_MS", defaults.statement_timeout_ms),
        idle_in_transaction_timeout_ms=limit_ms(
            "SHOP_IDLE_IN_TRANSACTION_TIMEOUT_MS", defaults.idle_in_transaction_timeout_ms
        ),
        tcp_user_timeout_ms=limit_ms("SHOP_TCP_USER_TIMEOUT_MS", defaults.tcp_user_timeout_ms),
        client_timeout_ms=limit_ms("SHOP_CLIENT_TIMEOUT_MS", defaults.client_timeout_ms),
    )


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
        port=_load_int(environ, "DB_PORT", 5432, low=1, high=65_535),
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


def _load_int(environ: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    text = (environ.get(name) or str(default)).strip()
    # The length is looked at first: int() of thousands of digits is an error of its own.
    number = int(text) if len(text) <= len(str(high)) and text.isdecimal() else None
    if number is None or not low <= number <= high:
        raise SettingsError(f"{name} is {text!r}: set it to a whole number from {low} to {high}")
    return number
