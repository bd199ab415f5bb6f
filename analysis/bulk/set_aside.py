"""Set the undisputed attempts of a large run aside, and write its lines: `statements` in DuckDB.

What is left goes to the exact judge. That changes no byte of the results, and takes a fraction of
the time, in memory that is bounded. Import it where it is needed: DuckDB takes as long to load as
all else of ours.
"""
# ruff: noqa: S608 -- names and paths in queries go through name_of and literal

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from analysis.bulk.statements import DUCKDB, KINDS, NUMBERS, judging
from analysis.bulk.views import attempts_view, orders_view
from analysis.evidence.errors import EvidenceError
from analysis.evidence.records import Attempt, OrderRow, Verdict
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.sql.duck import (
    connected,
    literal,
    name_of,
    parquet_of,
    regular_csv_of,
    regular_header,
)
from analysis.evidence.sql.parquet import as_text, column_types, fetched, write_parquet
from analysis.evidence.tables import ATTEMPTS, ORDERS, RecordT, Table
from analysis.judging.access_log import trace_root
from analysis.judging.matching import total_of
from analysis.judging.undisputed import Ending, Question, Stretch, Undisputed

_ROWS_AT_ONCE = 5_000
_SHARE_OF_MEMORY = "50%"
_DISK_FULL = "No space left"
_PRICE_DECIMALS, _PRICE_BELOW = 4, 10**9


@dataclass(slots=True)
class Bulk:
    """The undisputed attempts in numbers, and the disputed ones and their rows as they are."""

    undisputed: Undisputed
    attempts: list[Attempt]
    rows: list[OrderRow]
    _database: duckdb.DuckDBPyConnection
    _scratch: Path

    def write(
        self,
        file_name: str,
        header: Sequence[str],
        attempts: Sequence[Attempt],
        lines: Sequence[str],
    ) -> Path:
        """Write all lines, those of attempts by when they were sent, and then those of rows.

        `lines` are those of the disputed, ends included: of these attempts, then of rows. Returns
        the file, which is gone with the rest of the scratch unless somebody takes it.
        """
        target = self._scratch / file_name
        self._database.execute(
            "CREATE TEMP TABLE given (sent BIGINT, id VARCHAR, number BIGINT, line VARCHAR)"
        )
        places = [(each.sent_at or 0, each.attempt_id) for each in attempts]
        for first in range(0, len(lines), _ROWS_AT_ONCE):
            self._give(first, places, lines[first : first + _ROWS_AT_ONCE])
        # The attempts' texts pass by and the numbers are kept, and not the other way round: of CSV
        # DuckDB does not know that it is large.
        self._database.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        # One column that holds whole lines: COPY adds the last byte of each.
        name = name_of(",".join(header) + "\r")
        self._database.execute(
            f"COPY (SELECT line AS {name} FROM ("
            "SELECT sent, id, 0 AS number, line FROM lines UNION ALL SELECT * FROM given) "
            "ORDER BY sent NULLS LAST, id NULLS LAST, number) "
            f"TO {literal(target)} (FORMAT csv, HEADER true, QUOTE '', ESCAPE '', "
            "USE_TMP_FILE false)"
        )
        return target

    def _give(self, first: int, places: Sequence[tuple[int, str]], lines: Sequence[str]) -> None:
        of_rows = [(None, None)] * len(lines)  # after those of attempts
        theirs = [*places[first : first + len(lines)], *of_rows][: len(lines)]
        sent, ids = zip(*theirs, strict=True)
        # As they stand in our files, where a text may not be valid Unicode.
        bare = (each.removesuffix("\n") for each in lines)
        texts = [each.encode(errors="backslashreplace").decode() for each in bare]
        self._database.execute(
            "INSERT INTO given SELECT unnest(?::BIGINT[]), unnest(?::VARCHAR[]), "
            "? + unnest(range(?)), unnest(?::VARCHAR[])",
            [sent, ids, first, len(lines), texts],
        )


@contextmanager
def set_aside(
    directory: RunDirectory, question: Question, *, memory: str | None
) -> Iterator[Bulk | None]:
    """Give a run's attempts and rows with the undisputed apart; None where that cannot be.

    So it is where a row bears no order's key, and where a file makes no sense: the exact reading
    says of it what and where. DuckDB takes `memory` ("2GB"; unless given, a share of the machine's)
    and then goes on on the disk; EvidenceError if neither suffices.
    """
    attempts, orders = (directory.stored(each.file_name) for each in (ATTEMPTS, ORDERS))
    memory = memory or _SHARE_OF_MEMORY
    with directory.judging_scratch() as scratch, ExitStack() as until_judged:
        database = until_judged.enter_context(connected(scratch, memory=memory))
        try:
            with _room_explained(memory, scratch):
                found = _set_aside(database, attempts, orders, question, scratch)
        except _NoRoomError:
            raise
        except (duckdb.Error, EvidenceError, ValueError, TypeError, ArithmeticError, OSError):
            found = None
        if found is None:
            until_judged.close()  # the exact judge needs the memory
        with _room_explained(memory, scratch):
            yield found


class _NoRoomError(EvidenceError):
    """Neither the memory nor the disk suffices."""


@contextmanager
def _room_explained(memory: str, scratch: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        if isinstance(error, duckdb.OutOfMemoryException):
            message = f"{memory} of memory and what is free on the disk of {scratch.parent} do not "
            message += "suffice to judge the run; allow more by --memory, or free some of the disk"
        elif _DISK_FULL in str(error):
            message = f"the disk of {scratch.parent} is full: what is found is written there; free "
            message += "some of it and judge the run again"
        else:
            raise
        raise _NoRoomError(message) from error


def _set_aside(
    database: duckdb.DuckDBPyConnection,
    attempts: Path,
    orders: Path,
    question: Question,
    scratch: Path,
) -> Bulk | None:
    database.execute("SET preserve_insertion_order = false")
    types = {
        table.file_name: _open(database, table, path, scratch)
        for table, path in ((ATTEMPTS, attempts), (ORDERS, orders))
    }
    _add_prices(database, question)
    database.execute(attempts_view(types[ATTEMPTS.file_name], question))
    database.execute(orders_view(types[ORDERS.file_name]))
    for statement in judging(question, DUCKDB):
        database.execute(statement)
    if database.execute(NUMBERS["keyless"]).fetchall() != [(0,)]:
        return None
    if question.has_log:
        _dispute_traces(database)
    undisputed = _numbers(database)
    if not undisputed.count(Verdict.CONFIRMED):
        return None
    return Bulk(
        undisputed,
        list(_disputed(database, ATTEMPTS, types[ATTEMPTS.file_name])),
        list(_disputed(database, ORDERS, types[ORDERS.file_name])),
        database,
        scratch,
    )


# --- the evidence as tables ---


def _open(
    database: duckdb.DuckDBPyConnection, table: Table[Any], path: Path, scratch: Path
) -> dict[str, str]:
    """Make a table known by its name; return the types of its columns."""
    name = table.file_name.removesuffix(".csv")
    if path.suffix == ".csv" and (header := regular_header(path)):
        types = {each: "VARCHAR" for each in header if each in table.columns}
        source = regular_csv_of(header, path)
    else:
        if path.suffix == ".csv":  # one that is read exactly, and slowly, for once
            csv_file, path = path, scratch / path.with_suffix(".parquet").name
            write_parquet(table, source=csv_file, target=path, scratch=scratch)
        types = column_types(database, table, path)
        source = parquet_of(path)
    table.reader(list(types))  # says what is missing
    database.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}")
    return types


def _add_prices(database: duckdb.DuckDBPyConnection, question: Question) -> None:
    """Add what products cost, as far as that is known, and exactly so."""
    unit = Decimal(1).scaleb(-_PRICE_DECIMALS)
    # Of a product that is listed twice the last price is known, as where the exact judge looks.
    last = {each.id: each.price for each in question.products or () if each.price is not None}
    known = [
        (number, price)
        for number, price in last.items()
        if 0 <= number < 1 << 63 and 0 <= price < _PRICE_BELOW and price % unit == 0
    ]
    numbers, prices = zip(*known, strict=True) if known else ((), ())
    database.execute(
        "CREATE TABLE prices AS SELECT unnest(?::BIGINT[]) AS product, "
        f"unnest(?::DECIMAL(18, {_PRICE_DECIMALS})[]) AS price",
        [numbers, prices],
    )


# --- what was found ---


def _dispute_traces(database: duckdb.DuckDBPyConnection) -> None:
    """Leave to the exact judge who shares a trace with the disputed: their lines are its, too."""
    query = f"SELECT DISTINCT trace_id FROM attempts WHERE {_is_disputed()}"
    roots = {trace_root(trace_id or "") for (trace_id,) in database.execute(query).fetchall()}
    database.execute(
        f"INSERT INTO disputed SELECT aid FROM undisputed WHERE root IN ("
        f"SELECT {DUCKDB.hash.format('root')} FROM (SELECT unnest(?::VARCHAR[]) AS root))",
        [sorted(roots - {""})],
    )


def _is_disputed() -> str:
    attempt_id = "CAST(attempt_id AS VARCHAR)"
    is_it = f"{DUCKDB.hash.format(attempt_id)} IN (SELECT aid FROM disputed)"
    return f"coalesce({attempt_id}, '') = '' OR {is_it}"


def _disputed(
    database: duckdb.DuckDBPyConnection, table: Table[RecordT], types: Mapping[str, str]
) -> Iterator[RecordT]:
    read = table.reader(list(types))
    cells = ", ".join(as_text(found, name_of(name)) for name, found in types.items())
    name = table.file_name.removesuffix(".csv")
    yield from map(read, fetched(database, f"SELECT {cells} FROM {name} WHERE {_is_disputed()}"))


def _numbers(database: duckdb.DuckDBPyConnection) -> Undisputed:
    def times(name: str) -> dict[int, int]:
        return dict(database.execute(NUMBERS[name]).fetchall())

    endings: Counter[Ending] = Counter()
    sold: Counter[int] = Counter()
    pieces, values = 0, [Decimal(0)]

    def edges() -> Iterator[tuple[int, int]]:
        for at, is_end in fetched(database, NUMBERS["edges"]):
            yield int(at), int(is_end)

    common: list[Stretch] = []
    groups = database.execute(NUMBERS["groups"]).fetchall()
    for kind, http, error, product, count, quantity, total, low, high in groups:
        ending = Ending(*KINDS[kind], http, error)
        endings[ending] += count
        if quantity is not None:
            sold[product] += int(quantity)
        if ending.verdict is Verdict.COMMITTED:
            pieces += int(quantity)
            # What costs nothing has no decimals, as where the exact judge adds it up.
            values.append(Decimal(total) or Decimal(0))
        if low is not None and high is not None:
            common.append((low, high))
    return Undisputed(
        endings=endings,
        sold=sold,
        hidden=(pieces, total_of(values)),
        from_due=times("from_due"),
        from_sent_of_due=times("from_sent_of_due"),
        from_sent_of_others=times("from_sent_of_others"),
        common=common,
        edges=lambda: (
            (int(at), int(is_end)) for at, is_end in fetched(database, NUMBERS["edges"])
        ),
    )
