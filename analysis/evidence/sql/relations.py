"""A run's tables as relations that SQL can sum up: a part of `run_directory`, for it alone.

Times are microseconds since the epoch, whole numbers are BIGINT, everything else is text; what a
cell does not hold is NULL, or '' where it is text. A million rows stay where they are: what is
asked for is summed up in DuckDB, and only the sums come back.
"""
# ruff: noqa: S608 -- names and paths in queries go through name_of and literal

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from analysis.evidence.files.text import UTF_8
from analysis.evidence.sql.duck import connected, csv_of, explained, literal, name_of, parquet_of
from analysis.evidence.tables import Kind


class Relations:
    """The tables of one run that are there, by the names of their files without an ending."""

    def __init__(self, database: duckdb.DuckDBPyConnection, names: frozenset[str]) -> None:
        self.names = names
        self._database = database

    def select(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query, or run a statement, with `$name` for each value."""
        with explained("the tables of the run cannot be summed up", way_out="restore them"):
            return self._database.execute(query, values or None).fetchall()


@contextmanager
def related(files: Mapping[Path, Mapping[str, Kind]], *, scratch: Path) -> Iterator[Relations]:
    """Open these files, CSV or Parquet, whose columns are of these kinds (text if not named).

    `scratch` is a folder for what does not fit into memory.
    """
    with connected(scratch) as database:
        for path, kinds in files.items():
            with explained(f"{path} cannot be read", way_out="restore it as the run wrote it"):
                _add(database, path, kinds)
        yield Relations(database, frozenset(path.stem for path in files))


def _add(database: duckdb.DuckDBPyConnection, path: Path, kinds: Mapping[str, Kind]) -> None:
    source = parquet_of(path) if path.suffix == ".parquet" else _csv_file(path)
    described = database.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    columns = ", ".join(
        f"{_as(kinds.get(str(name), Kind.TEXT), str(name), str(found))} AS {name_of(str(name))}"
        for name, found, *_ in described
    )
    database.execute(f"CREATE TEMP VIEW {name_of(path.stem)} AS SELECT {columns} FROM {source}")


def _csv_file(path: Path) -> str:
    with path.open(encoding=UTF_8, newline="") as file:
        return csv_of(next(csv.reader(file), []), path)


def _as(kind: Kind, name: str, found: str) -> str:
    value = name_of(name)
    match kind:
        case Kind.TIME:
            is_time = found.startswith("TIMESTAMP")
            at = value if is_time else f"TRY_CAST({value} AS TIMESTAMP WITH TIME ZONE)"
            return f"epoch_us({at})"
        case Kind.WHOLE:
            return f"TRY_CAST({value} AS BIGINT)"
        case _:
            return f"coalesce(CAST({value} AS VARCHAR), {literal('')})"
