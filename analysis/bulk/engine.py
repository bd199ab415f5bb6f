"""What is asked of a database engine that sets the undisputed apart."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from analysis.bulk.statements import Dialect
from analysis.evidence.errors import EvidenceError
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import Table


class EngineFailed(EvidenceError):
    """The engine cannot go on, whatever is in the evidence: it lacks room, or is not there."""


class Engine(Protocol):
    """A database of one judgement alone."""

    dialect: Dialect
    # What it raises itself where a statement makes no sense of a file.
    failures: tuple[type[Exception], ...]

    def open(self, table: Table[Any], name: str) -> dict[str, str]:
        """Make a table of the run known by a name; return its columns' types, in DuckDB's words."""

    def run(self, statement: str) -> None:
        """Run a statement that returns nothing."""

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, of which few are in memory at once."""

    def give(self, name: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> None:
        """Make a table of rows that are here. Columns have SQL's types, or "text"."""

    def write(self, query: str, *, header: str, target: Path) -> None:
        """Write the single column of a query, `{name}`, as lines below a header, in its order."""


Connect = Callable[[RunDirectory, Path], AbstractContextManager[Engine]]
