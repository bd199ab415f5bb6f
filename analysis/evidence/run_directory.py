"""A run's directory: its files, by name and by record."""

import csv
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from analysis.evidence.errors import EvidenceError, TornLine
from analysis.evidence.files.access_log import AccessLogFiles
from analysis.evidence.files.json_files import read_json, read_summary
from analysis.evidence.files.new_run import as_file_name, make_folder, point_to
from analysis.evidence.files.text import LONGEST_LINE, UTF_8, csv_line, why_not_utf_8
from analysis.evidence.files.writing import (
    append_bytes,
    locked,
    put_in_place,
    sync_folder,
    whole_file,
)
from analysis.evidence.ledger.line_records import LedgerClosed, parse_line
from analysis.evidence.ledger.tail import lines_beyond
from analysis.evidence.records import Event
from analysis.evidence.tables import ATTEMPTS, EVENTS, ORDERS, REQUESTS, Kind, Table

if TYPE_CHECKING:
    from analysis.evidence.sql.relations import Relations

RUN_FILE = "run.json"
BEFORE_FILE = "snapshot_before.json"
LEDGER_FOLDER = "ledger"
RECONCILIATION_FILE = "reconciliation.csv"
SUMMARY_FILE = "summary.json"
REPORT_FILE = "report.html"
JUNIT_FILE = "junit.xml"
PICTURE_FILE = "report.png"
_DRAWN = (REPORT_FILE, PICTURE_FILE)
LATEST = "latest"
RECONCILIATION_KINDS = {
    **dict.fromkeys(("order_id", "product_id", "quantity", "http_status"), Kind.WHOLE),
    **dict.fromkeys(("candidates", "balancer_status", "target_status"), Kind.WHOLE),
    "committed_at": Kind.TIME,
}
# The line that ends a ledger holds a time and no more.
_LONGEST_END = 256

RecordT = TypeVar("RecordT")

_SCRATCH_FOLDER = ".scratch"
_JUDGING_FOLDER = ".judging-"
_BUFFER = 1 << 18


class RunDirectory:
    """The files of one run, by name and by record. Times and money are as in `records`."""

    def __init__(self, path: Path | str) -> None:
        """Open an existing run's directory; EvidenceError if there is none."""
        self.path = Path(path).resolve()
        if not self.path.is_dir():
            raise EvidenceError(f"{path}: no such run directory; runs are the folders under runs/")

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def access_log(self) -> AccessLogFiles:
        """The load balancer's access log."""
        return AccessLogFiles(self.path)

    @classmethod
    def create(
        cls, *, root: Path, experiment: str, at: int, path: Path | None = None
    ) -> "RunDirectory":
        """Make the directory of a new run and point `root`/latest at it.

        It is `root`/<UTC time>-<experiment>, with -2, -3 ... where that exists, or `path`, which
        must not hold a run yet (EvidenceError). `at` is in microseconds.
        """
        run = cls(make_folder(root, experiment=experiment, at=at, path=path))
        (run.path / LEDGER_FOLDER).mkdir()
        sync_folder(run.path)
        sync_folder(run.path.parent)
        append_bytes(run.path / EVENTS.file_name, csv_line(list(EVENTS.columns)))
        point_to(root / LATEST, run.path)
        return run

    # --- the ledger ---

    def ledger_file(self, process_id: str) -> Path:
        """Where a Locust process writes its ledger."""
        if not process_id or process_id != as_file_name(process_id):
            raise ValueError(
                f"{process_id!r} cannot name a ledger; use letters, digits, dots and dashes"
            )
        return self.path / LEDGER_FOLDER / f"{process_id}.jsonl"

    def ledger_files(self) -> list[Path]:
        """Return every ledger of the run, in the order of their names."""
        return sorted((self.path / LEDGER_FOLDER).glob("*.jsonl"))

    def read_lines(self, ledger: Path) -> Iterator[bytes]:
        """Yield the lines of a ledger as they stand, ends included.

        Of a line longer than any that we write only the beginning is given, which is torn: a disk
        that lost power may have left gigabytes without an end.
        """
        with ledger.open("rb", buffering=_BUFFER) as file:
            while line := file.readline(LONGEST_LINE):
                yield line
                while len(line) == LONGEST_LINE and line[-1:] != b"\n":
                    line = file.readline(LONGEST_LINE)

    def has_whole_ledger(self, process_id: str) -> bool:
        """Whether a ledger is there up to what its process recorded last.

        That is the line that ended it, or what the tail of one that was killed holds.
        """
        ledger = self.path / LEDGER_FOLDER / f"{process_id}.jsonl"
        try:
            if lines_beyond(ledger) is not None:
                return True
            with ledger.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST_END))
                end = file.read()
                last_line = end[end.rfind(b"\n", 0, -1) + 1 :]
                return isinstance(parse_line(last_line), LedgerClosed)
        except (FileNotFoundError, TornLine):
            return False

    def write_ledger(self, process_id: str, parts: Iterable[bytes]) -> None:
        """Write a ledger that was gathered from elsewhere; it appears, whole, in the end."""
        with whole_file(self.ledger_file(process_id)) as file:
            file.writelines(parts)

    def is_being_written(self, ledger: Path) -> bool:
        """Whether the process that writes a ledger lives: it holds a lock on it until it ends."""
        with ledger.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Let one process at a time close the evidence; the next finds it closed."""
        folder = self.path / LEDGER_FOLDER
        if not folder.is_dir():  # a run from elsewhere, with nothing left to close
            yield
            return
        with locked(folder):
            yield

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder for what does not fit into memory; whoever closes the run has it alone."""
        folder = self.path / _SCRATCH_FOLDER
        shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # --- run.json and the first snapshot ---

    def read_run(self) -> dict[str, Any]:
        """Return run.json; EvidenceError if it is missing or unreadable."""
        return read_json(self.path / RUN_FILE, "it is what a run writes first")

    def update_run(self, **changes: object) -> None:
        """Set fields of run.json, leaving the others; it is made if missing. Atomic."""
        with locked(self.path):
            run = self.read_run() if self.has(RUN_FILE) else {"run_id": self.run_id}
            self.write_json(RUN_FILE, {**run, **changes})

    def read_before(self) -> dict[str, Any] | None:
        """Return the snapshot taken before the run; None if there is none."""
        return read_json(self.path / BEFORE_FILE) if self.has(BEFORE_FILE) else None

    # --- events.csv ---

    def append_event(self, event: Event) -> None:
        """Add a row to events.csv by one write, safe against other writers and a sudden end."""
        path = self.path / EVENTS.file_name
        header = b"" if path.exists() else csv_line(list(EVENTS.columns))
        append_bytes(path, header + csv_line(EVENTS.cells(event)))

    def note_event(self, event: str, detail: str, *, source: str = "harness") -> None:
        """Add what happens to the run itself just now."""
        at = time.time_ns() // 1000
        self.append_event(
            Event(at=at, source=source, subject=self.run_id, event=event, detail=detail)
        )

    # --- tables and results ---

    def read_summary(self) -> dict[str, Any] | None:
        """Return what the run was judged to be; None if it was not, EvidenceError if damaged."""
        return read_summary(self.path / SUMMARY_FILE) if self.has(SUMMARY_FILE) else None

    def has(self, file_name: str) -> bool:
        """Whether the run has this file."""
        return (self.path / file_name).is_file()

    def size(self, file_name: str) -> int:
        """How many bytes a file has; 0 where there is none."""
        return (self.path / file_name).stat().st_size if self.has(file_name) else 0

    def has_table(self, table: Table[RecordT]) -> bool:
        """Whether the run has this table, in whichever form."""
        return self.has(table.file_name) or self.has(_parquet(table.file_name))

    def read_table(self, table: Table[RecordT]) -> Iterator[RecordT]:
        """Yield a table's records one by one; EvidenceError names the file, line and cell.

        Parquet is read where there are both.
        """
        if self.has(_parquet(table.file_name)):
            from analysis.evidence.sql.parquet import read_parquet  # noqa: PLC0415 -- few need it, and it is slow

            yield from read_parquet(table, self.path / _parquet(table.file_name))
            return
        path = self.path / table.file_name
        try:
            with path.open(encoding=UTF_8, newline="") as file:
                yield from _records(table, file)
        except FileNotFoundError as error:
            raise EvidenceError(
                f"{path} is missing; `python -m analysis finish {self.path}` may make it"
            ) from error
        except UnicodeDecodeError as error:
            with path.open("rb") as raw:
                why = why_not_utf_8(raw.read(2))
            raise EvidenceError(f"{path} {why}, or restore it as the run wrote it") from error
        except OSError as error:
            raise EvidenceError(f"{path} cannot be read: {error.strerror}") from error

    @contextmanager
    def relations(self) -> Iterator["Relations"]:
        """Give the run's large tables, and the verdicts, to SQL; see `relations`."""
        from analysis.evidence.sql.relations import related  # noqa: PLC0415 -- few need it, and it is slow

        tables = {each.file_name: each.columns for each in (ATTEMPTS, REQUESTS, ORDERS)}
        files = {
            self.stored(name): {column: cell.kind for column, cell in columns.items()}
            for name, columns in tables.items()
            if self.has(name) or self.has(_parquet(name))
        }
        if self.has(RECONCILIATION_FILE):
            files[self.path / RECONCILIATION_FILE] = RECONCILIATION_KINDS
        # Not in the run's own scratch folder, which belongs to whoever closes it.
        with (
            tempfile.TemporaryDirectory(prefix="chaos-shop-") as scratch,
            related(files, scratch=Path(scratch)) as relations,
        ):
            yield relations

    def stored(self, table_name: str) -> Path:
        """Return the file that a table is read from: Parquet where there is some, else CSV."""
        name = _parquet(table_name) if self.has(_parquet(table_name)) else table_name
        return self.path / name

    @contextmanager
    def new_table(self, table: Table[RecordT]) -> Iterator[Callable[[RecordT], object]]:
        """Give a function that adds a record; the file appears, whole, when the block ends."""
        with self.new_csv(table.file_name, list(table.columns)) as put_cells:
            yield lambda record: put_cells(table.cells(record))

    @contextmanager
    def new_csv(
        self, file_name: str, header: list[str]
    ) -> Iterator[Callable[[Sequence[str]], object]]:
        """Give a function that adds a row; the file appears, whole, when the block ends."""
        with self._new_file(file_name) as file:
            rows = csv.writer(file)
            rows.writerow(header)
            yield rows.writerow
            # A reader would take it for this table, which it is not any more.
            (self.path / _parquet(file_name)).unlink(missing_ok=True)

    @contextmanager
    def judging_scratch(self) -> Iterator[Path]:
        """Give a folder for what does not fit into memory, after clearing those of killed ones."""
        with ExitStack() as until_judged:
            # Nobody may find the new folder before it is locked, and take it for a dead one's.
            with locked(self.path):
                for left in self.path.glob(f"{_JUDGING_FOLDER}*"):
                    with suppress(OSError), locked(left, waits=False):
                        shutil.rmtree(left, ignore_errors=True)
                folder = Path(tempfile.mkdtemp(prefix=_JUDGING_FOLDER, dir=self.path))
                until_judged.callback(shutil.rmtree, folder, ignore_errors=True)
                until_judged.enter_context(locked(folder))
            yield folder

    def add_parquet(self, table: Table[RecordT]) -> None:
        """Write NAME.parquet beside NAME.csv, in one step, unless it is there."""
        from analysis.evidence.sql.parquet import write_parquet  # noqa: PLC0415 -- few need it, and it is slow

        source, target = (self.path / name for name in (table.file_name, _parquet(table.file_name)))
        if target.exists() or not source.exists():
            return
        with self.scratch() as scratch:
            part = scratch / target.name
            write_parquet(table, source=source, target=part, scratch=scratch)
            put_in_place(part, target)

    def write_text(self, file_name: str, content: str) -> None:
        """Write a text file in one step: readers see the old or the new one, never a part."""
        with self._new_file(file_name) as file:
            file.write(content)

    def write_json(self, file_name: str, content: Mapping[str, object]) -> None:
        """Write a JSON file in one step: readers see the old or the new one, never a part."""
        with self._new_file(file_name) as file:
            json.dump(content, file, indent=2, ensure_ascii=False, allow_nan=False)
            file.write("\n")

    def discard_parts(self, file_name: str) -> None:
        """Remove what others left of a file that they were killed in writing."""
        for part in self.path.glob(f".{file_name}.*.part"):
            part.unlink(missing_ok=True)

    @contextmanager
    def new_results(self) -> Iterator[None]:
        """Remove what an earlier judgement wrote before the block writes anew.

        Should the block fail or be killed, no older verdict is taken for its own. What was drawn
        is back after it if it came to the same summary, and else would show another verdict.
        """
        summary = self.path / SUMMARY_FILE
        earlier = summary.read_bytes() if summary.is_file() else None
        for name in (SUMMARY_FILE, RECONCILIATION_FILE, JUNIT_FILE):
            (self.path / name).unlink(missing_ok=True)
        drawn = {name: self.path / f".{name}.{os.getpid()}.part" for name in _DRAWN}
        for name, aside in drawn.items():
            self.discard_parts(name)
            with suppress(FileNotFoundError):
                (self.path / name).rename(aside)
        try:
            yield
            if summary.is_file() and summary.read_bytes() == earlier:
                for name, aside in drawn.items():
                    with suppress(FileNotFoundError):
                        aside.rename(self.path / name)
        finally:
            for aside in drawn.values():
                aside.unlink(missing_ok=True)

    @contextmanager
    def _new_file(self, file_name: str) -> Iterator[TextIO]:
        # A string that is not valid Unicode must not stop the rest from being written.
        how: Any = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
        with whole_file(self.path / file_name) as file, TextIOWrapper(file, **how) as text:
            yield text


def _records(table: Table[RecordT], file: TextIO) -> Iterator[RecordT]:
    rows = csv.reader(file, strict=True)
    try:
        header = next(rows, None)
        if header is None:
            raise EvidenceError(f"{file.name} is empty; restore it as the run wrote it")
        read = table.reader(header)
        for cells in rows:
            if cells:  # a blank line is no row
                yield read(cells)
    except (ValueError, csv.Error) as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        raise EvidenceError(f"{file.name}, line {rows.line_num}: {error}") from error


def _parquet(file_name: str) -> str:
    return file_name.removesuffix(".csv") + ".parquet"
