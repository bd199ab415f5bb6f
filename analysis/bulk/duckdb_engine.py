"""DuckDB as the engine, in memory that is bounded: it goes on on the disk.

Import it where it is needed: DuckDB takes as long to load as all else of ours.
"""
# ruff: noqa: S608 -- names and paths in queries go through name_of and literal

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from analysis.bulk.engine import Connect, Engine, EngineFailed
from analysis.bulk.statements import DUCKDB
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.sql.duck import (
    connected,
    literal,
    name_of,
    parquet_of,
    regular_csv_of,
    regular_header,
)
from analysis.evidence.sql.parquet import TEXT, column_types, fetched, write_parquet
from analysis.evidence.tables import Table

_ROWS_AT_ONCE = 5_000
_SHARE_OF_MEMORY = "50%"
_DISK_FULL = "No space left"


def in_duckdb(memory: str | None) -> Connect:
    """Return what connects to a DuckDB that takes `memory` ("2GB"), or a share of the machine's."""

    @contextmanager
    def connect(directory: RunDirectory, scratch: Path) -> Iterator[Engine]:
        limit = memory or _SHARE_OF_MEMORY
        with connected(scratch, memory=limit) as database:
            database.execute("SET preserve_insertion_order = false")
            yield _DuckDb(database, directory, scratch, limit)

    return connect


class _DuckDb:
    dialect = DUCKDB
    failures: tuple[type[Exception], ...] = (duckdb.Error,)

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        directory: RunDirectory,
        scratch: Path,
        memory: str,
    ) -> None:
        self._database = database
        self._directory = directory
        self._scratch = scratch
        self._memory = memory

    def open(self, table: Table[Any], name: str) -> dict[str, str]:
        path = self._directory.stored(table.file_name)
        with self._explained():
            if path.suffix == ".csv" and (header := regular_header(path)):
                types = {each: TEXT for each in header if each in table.columns}
                source = regular_csv_of(header, path)
            else:
                if path.suffix == ".csv":  # one that is read exactly, and slowly, for once
                    csv_file, path = path, self._scratch / path.with_suffix(".parquet").name
                    write_parquet(table, source=csv_file, target=path, scratch=self._scratch)
                types = column_types(self._database, table, path)
                source = parquet_of(path)
            table.reader(list(types))  # says what is missing
            self._database.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}")
        return types

    def run(self, statement: str) -> None:
        with self._explained():
            self._database.execute(statement)

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        with self._explained():
            yield from fetched(self._database, query)

    def give(self, name: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> None:
        types = [TEXT if each == "text" else each for each in columns.values()]
        defined = ", ".join(map(" ".join, zip(columns, types, strict=True)))
        values = ", ".join(f"unnest(?::{each}[])" for each in types)
        with self._explained():
            self._database.execute(f"CREATE OR REPLACE TABLE {name} ({defined})")
            left = iter(rows)
            while some := list(islice(left, _ROWS_AT_ONCE)):
                cells = [list(column) for column in zip(*some, strict=True)]
                self._database.execute(f"INSERT INTO {name} SELECT {values}", cells)

    def write(self, query: str, *, header: str, target: Path) -> None:
        with self._explained():
            # The attempts' texts pass by and the numbers are kept, and not the other way round: of
            # CSV DuckDB does not know that it is large.
            self._database.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
            # One column that holds whole lines: COPY adds the last byte of each.
            self._database.execute(
                f"COPY ({query.format(name=name_of(header))}) TO {literal(target)} "
                "(FORMAT csv, HEADER true, QUOTE '', ESCAPE '', USE_TMP_FILE false)"
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            if isinstance(error, duckdb.OutOfMemoryException):
                raise EngineFailed(
                    f"{self._memory} of memory and what is free on the disk of "
                    f"{self._scratch.parent} do not suffice to judge the run; allow more by "
                    "--memory, or free some of the disk"
                ) from error
            if _DISK_FULL in str(error):
                raise EngineFailed(
                    f"the disk of {self._scratch.parent} is full: what is found is written there; "
                    "free some of it and judge the run again"
                ) from error
            raise
