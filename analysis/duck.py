"""DuckDB as we use it: in memory, bounded, and fetching nothing. A part of `run_directory`.

Import it where it is needed, not before: DuckDB takes as long to load as all else of ours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

__all__ = ["connected", "literal", "name_of"]

_THREADS = 2  # each takes its share of the memory


@contextmanager
def connected(scratch: Path | None, *, memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a database of its own; `scratch` is a folder for what does not fit into `memory`."""
    with duckdb.connect(":memory:") as database:
        for setting in (
            f"memory_limit = '{memory}'",
            f"threads = {_THREADS}",
            "autoinstall_known_extensions = false",  # nothing is fetched from anywhere
            "autoload_known_extensions = false",
            f"temp_directory = {literal(scratch or '')}",
        ):
            database.execute(f"SET {setting}")
        yield database


def name_of(column: str) -> str:
    """Return a column's name as SQL has it."""
    return '"' + column.replace('"', '""') + '"'


def literal(value: str | Path) -> str:
    """Return a text as SQL has it."""
    return "'" + str(value).replace("'", "''") + "'"
