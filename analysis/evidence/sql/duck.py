"""DuckDB as we use it: in memory, bounded, and fetching nothing. A part of `run_directory`.

Import it where it is needed, not before: DuckDB takes as long to load as all else of ours.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from analysis.evidence.errors import EvidenceError
from analysis.evidence.files.text import UTF_8

_LONGEST_ROW = 1 << 25
_LONGEST_HEADER = 1 << 16
_BLOCK = 1 << 22
_INTERRUPTED = "Query interrupted"  # what DuckDB makes of Ctrl-C

_MEMORY = "512MB"  # unless more is given
_THREADS = 2  # each takes its share of the memory


@contextmanager
def connected(
    scratch: Path | None = None, *, memory: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a database of its own; `scratch` is a folder for what does not fit into `memory`."""
    with duckdb.connect(":memory:") as database:
        for setting in (
            f"memory_limit = '{memory or _MEMORY}'",
            f"threads = {_THREADS}",
            "autoinstall_known_extensions = false",  # nothing is fetched from anywhere
            "autoload_known_extensions = false",
            f"temp_directory = {literal(scratch or '')}",
        ):
            database.execute(f"SET {setting}")
        try:
            yield database
        except RuntimeError as error:
            if str(error) != _INTERRUPTED:
                raise
            raise KeyboardInterrupt from error


def name_of(column: str) -> str:
    """Return a column's name as SQL has it."""
    return '"' + column.replace('"', '""') + '"'


def literal(value: str | Path) -> str:
    """Return a text as SQL has it."""
    return "'" + str(value).replace("'", "''") + "'"


def _file(path: Path) -> str:
    """Return a file's path as SQL has it: DuckDB would take `*`, `?` and `[` for a pattern."""
    return literal("".join(f"[{each}]" if each in "*?[" else each for each in str(path)))


def parquet_of(path: Path) -> str:
    """Return the SQL that reads a Parquet file."""
    return f"read_parquet({_file(path)}, hive_partitioning=false)"


def regular_header(path: Path) -> list[str]:
    """Return the names in a CSV file's header, or nothing where any line is other than we write it.

    Of other lines DuckDB takes some that our own reader refuses, with a comma more at the end; and
    in columns that nobody asks for it does not look whether they are UTF-8.
    """
    lines = commas = 0
    with path.open("rb") as file:
        header = file.readline(_LONGEST_HEADER)
        file.seek(0)
        while block := file.read(_BLOCK) + file.readline():
            ends = block.count(b"\r\n")
            are_ours = ends == block.count(b"\n") == block.count(b"\r") and block.endswith(b"\n")
            has_blank = b"\r\n\r\n" in b"\r\n" + block  # it lacks commas that another has
            if not are_ours or has_blank or b'"' in block or not _is_utf_8(block):
                return []
            lines += ends
            commas += block.count(b",")
    names = header.decode(UTF_8).removesuffix("\r\n").split(",")
    return names if header and commas == lines * (len(names) - 1) else []


def _is_utf_8(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def regular_csv_of(header: Sequence[str], source: Path) -> str:
    """Return the SQL that reads a CSV file as text, in no order, where no cell has quotes."""
    return _csv(header, source, "quote='', escape='', new_line='\\r\\n'")


def csv_of(header: Sequence[str], source: Path) -> str:
    """Return the SQL that reads a CSV file as text, in its order, as our own reader does."""
    longest = min(source.stat().st_size + 1, _LONGEST_ROW)  # what a buffer costs is felt
    how = f"parallel=false, max_line_size={longest}, buffer_size={2 * longest}"
    return _csv(header, source, f"quote='\"', escape='\"', {how}")


def _csv(header: Sequence[str], source: Path, how: str) -> str:
    texts = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    return (
        f"read_csv({_file(source)}, columns={{{texts}}}, header=true, auto_detect=false, "
        f"delim=',', {how}, hive_partitioning=false)"
    )


@contextmanager
def explained(what: str, *, way_out: str) -> Iterator[None]:
    """Turn what goes wrong inside into an EvidenceError."""
    try:
        yield
    except (duckdb.Error, csv.Error, ValueError, OSError) as error:
        raise EvidenceError(f"{what}: {str(error).splitlines()[0]}; {way_out}") from error
