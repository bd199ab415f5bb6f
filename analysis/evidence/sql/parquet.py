"""Tables of the run directory as Parquet, through DuckDB: a part of `run_directory`, for it alone.

Import it where it is needed, not before: DuckDB takes as long to load as all else of ours.
What a column's type would not hold exactly stays text, so that nothing changes on the way; and
cells are handed back as the text that CSV has, so that both are understood by the same code.
"""
# ruff: noqa: S608 -- names and paths in queries go through name_of and literal

import csv
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb

from analysis.evidence.errors import EvidenceError
from analysis.evidence.files.text import UTF_8
from analysis.evidence.sql.duck import (
    connected,
    csv_of,
    explained,
    literal,
    name_of,
    parquet_of,
    regular_csv_of,
    regular_header,
)
from analysis.evidence.tables import Kind, RecordT, Table

_ROWS_AT_ONCE = 5_000
_BETWEEN = "\x1f"  # cells that are compared
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
_MOST_DIGITS = 38  # of a DECIMAL

TEXT, _WHOLE, TIME, _MONEY = "VARCHAR", "BIGINT", "TIMESTAMP WITH TIME ZONE", "DECIMAL"
_WHOLES = (
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
)
# What is read as what; the first is what the message recommends.
_READABLE: dict[Kind, tuple[str, ...]] = {
    Kind.TEXT: (TEXT, "UUID"),
    Kind.WHOLE: (_WHOLE, *_WHOLES, TEXT),
    Kind.TIME: (TIME, TEXT),
    Kind.MONEY: (_MONEY, *_WHOLES, TEXT),
}


def write_parquet(table: Table[RecordT], *, source: Path, target: Path, scratch: Path) -> None:
    """Write a CSV file as Parquet; EvidenceError if that cannot be done, or is not the same.

    Where lines are not all as we write them, what DuckDB has made of the file is compared with what
    our own reader reads. Nobody may look for `target` while it is being written; `scratch` is a
    folder for what does not fit into memory.
    """
    with (
        connected(scratch) as database,
        explained(f"{source} cannot be written as Parquet", way_out="CSV is read instead"),
        source.open(encoding=UTF_8, newline="") as file,
    ):
        is_regular = bool(header := regular_header(source))
        rows = csv.reader(file, strict=True)
        header = header or next(rows, [])
        table.reader(header)  # says what is wrong with it
        content = regular_csv_of(header, source) if is_regular else csv_of(header, source)
        types = _exact_types(database, table, header, content)
        columns = ", ".join(f"{_typed(types[each], each)} AS {name_of(each)}" for each in header)
        database.execute(
            f"COPY (SELECT {columns} FROM {content}) TO {literal(target)} "
            "(FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, PER_THREAD_OUTPUT false)"
        )
        if not is_regular:
            cells = ", ".join(as_text(types[each], name_of(each)) for each in header)
            query = f"SELECT concat_ws(chr({ord(_BETWEEN)}), {cells}) FROM {parquet_of(target)}"
            _compare(rows, fetched(database, query), source)


def _compare(rows: Iterator[Sequence[str]], written: Iterator[Sequence[str]], source: Path) -> None:
    numbered = enumerate(zip_longest(filter(None, rows), written), 1)
    for number, (row, joined) in numbered:
        if row is None or joined is None or _BETWEEN.join(row) != joined[0]:
            raise EvidenceError(
                f"{source} cannot be written as Parquet: row {number} would not be the same"
            )


def read_parquet(table: Table[RecordT], path: Path) -> Iterator[RecordT]:
    """Yield the records of a Parquet table; EvidenceError names the column, or row and cell."""
    with (
        connected() as database,
        explained(f"{path} cannot be read as Parquet", way_out="restore it as it was written"),
    ):
        source = parquet_of(path)
        types = column_types(database, table, path)
        cells = ", ".join(as_text(found, name_of(name)) for name, found in types.items())
        rows = fetched(database, f"SELECT {cells or 0} FROM {source}")
        yield from _records(table, list(types), rows, path)


def column_types(
    database: duckdb.DuckDBPyConnection, table: Table[RecordT], path: Path
) -> dict[str, str]:
    """Return the types of the table's columns that are there; EvidenceError if one is unfit."""
    described = database.execute(f"DESCRIBE SELECT * FROM {parquet_of(path)}").fetchall()
    types = {str(name): str(kind) for name, kind, *_ in described if name in table.columns}
    for name, found in types.items():
        check_type(path, name, table.columns[name].kind, found)
    return types


def _records(
    table: Table[RecordT], header: list[str], rows: Iterator[Sequence[str]], path: Path
) -> Iterator[RecordT]:
    number = 0
    try:
        read = table.reader(header)
        for row in rows:
            number += 1
            yield read(row)
    except ValueError as error:
        raise EvidenceError(
            f"{path}, row {number}: {error}" if number else f"{path}: {error}"
        ) from error


def fetched(database: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query, of which few are in memory at once."""
    database.execute(query)
    while rows := database.fetchmany(_ROWS_AT_ONCE):
        yield from rows


# --- columns ---


def _exact_types(
    database: duckdb.DuckDBPyConnection, table: Table[RecordT], header: Sequence[str], rows: str
) -> dict[str, str]:
    """Return the type of each column: its kind's where that holds every cell exactly, or text."""
    kinds = {name: table.columns[name].kind for name in header if name in table.columns}
    money = [name for name, kind in kinds.items() if kind is Kind.MONEY]
    types = {name: _WHOLE for name, kind in kinds.items() if kind is Kind.WHOLE}
    types |= {name: TIME for name, kind in kinds.items() if kind is Kind.TIME}
    digits = _ask(database, rows, [_DIGITS_AFTER_POINT.format(name_of(name)) for name in money])
    types |= {
        name: f"{_MONEY}({_MOST_DIGITS}, {min(int(most), _MOST_DIGITS)})"
        for name, most in zip(money, digits, strict=True)
    }
    survives = [
        f"coalesce(bool_and({as_text(each, _typed(each, name))} = {_typed(TEXT, name)}), true)"
        for name, each in types.items()
    ]
    is_exact = dict(zip(types, _ask(database, rows, survives), strict=True))
    return {name: types[name] if is_exact.get(name) else TEXT for name in header}


_DIGITS_AFTER_POINT = "coalesce(max(length(regexp_extract({}, '[.]([0-9]*)$', 1))), 0)"


def _ask(database: duckdb.DuckDBPyConnection, rows: str, what: list[str]) -> Sequence[int]:
    """Return one number of each aggregate."""
    if not what:
        return []
    return database.execute(f"SELECT {', '.join(what)} FROM {rows}").fetchone() or ()


def _typed(kind: str, name: str) -> str:
    """Return the SQL that makes a value of a CSV cell; NULL of one that is empty or unfit."""
    return (
        f"coalesce({name_of(name)}, '')" if kind == TEXT else f"TRY_CAST({name_of(name)} AS {kind})"
    )


def as_text(kind: str, value: str) -> str:
    """Return the SQL that makes of a value, of a type, the cell that CSV has for it."""
    if kind == TIME:
        return f"coalesce(strftime(timezone('UTC', {value}), '{TIME_FORMAT}'), '')"
    return f"coalesce(CAST({value} AS VARCHAR), '')"


def check_type(path: Path, name: str, kind: Kind, found: str) -> None:
    """EvidenceError if a column's type is none that its kind of cell is kept as."""
    allowed = _READABLE[kind]
    if found.partition("(")[0] not in allowed:
        raise EvidenceError(
            f"{path}: its column {name} is {found}, but {kind} are kept as {allowed[0]}"
        )
