"""A run's directory: the one module of `analysis` that reads and writes files."""

import csv
import fcntl
import gzip
import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from analysis.evidence.errors import EvidenceError, TornLine
from analysis.evidence.files import (
    LONGEST_LINE,
    UTF_8,
    append_bytes,
    csv_line,
    locked,
    sync_folder,
    text_of,
    why_not_utf_8,
    write_whole,
)
from analysis.evidence.ledger.format import LedgerClosed, parse_line
from analysis.evidence.ledger.tail import lines_beyond
from analysis.evidence.records import Event, format_time, parse_time
from analysis.evidence.tables import ATTEMPTS, EVENTS, ORDERS, REQUESTS, Kind, Table

if TYPE_CHECKING:
    from analysis.evidence.sql.relations import Relations

RUN_FILE = "run.json"
BEFORE_FILE = "snapshot_before.json"
LEDGER_FOLDER = "ledger"
ACCESS_LOG = "elb_access"
# What AWS lays beside it, of connections and of health checks.
_OTHER_LOGS = ("conn_log.", "health_check_log.")
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

    @classmethod
    def create(
        cls, *, root: Path, experiment: str, at: int, path: Path | None = None
    ) -> "RunDirectory":
        """Make the directory of a new run and point `root`/latest at it.

        It is `root`/<UTC time>-<experiment>, with -2, -3 ... where that exists, or `path`, which
        must not hold a run yet (EvidenceError). `at` is in microseconds.
        """
        if path is None:
            made = _make_next(root, f"{_compact_time(at)}-{_as_file_name(experiment)}")
        else:
            made = _make_empty(path)
        run = cls(made)
        (run.path / LEDGER_FOLDER).mkdir()
        sync_folder(run.path)
        sync_folder(run.path.parent)
        append_bytes(run.path / EVENTS.file_name, csv_line(list(EVENTS.columns)))
        _point(root / LATEST, run.path)
        return run

    @staticmethod
    def check_new(path: Path) -> None:
        """Raise EvidenceError or OSError where `create` could not make a run of `path`."""
        _refuse_taken(path)
        there = next(each for each in (path, *path.absolute().parents) if each.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise EvidenceError(
                f"{there} is no directory that can be written to; name another directory"
            )

    # --- the ledger ---

    def ledger_file(self, process_id: str) -> Path:
        """Where a Locust process writes its ledger."""
        if not process_id or process_id != _as_file_name(process_id):
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
                return isinstance(parse_line(_last_line(file.read())), LedgerClosed)
        except (FileNotFoundError, TornLine):
            return False

    def write_ledger(self, process_id: str, parts: Iterable[bytes]) -> None:
        """Write a ledger that was gathered from elsewhere; it appears, whole, in the end."""
        write_whole(self.ledger_file(process_id), parts)

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

    # --- the load balancer's access log ---

    def has_access_log(self) -> bool:
        """Whether elb_access.log, or a folder elb_access/ of such files, is there."""
        return bool(self._access_logs())

    def keep_access_log(self, log: Path, *, offset: int) -> None:
        """Copy a log from this byte on; OSError where that cannot be done."""
        path = self.path / f"{ACCESS_LOG}.log"
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with log.open("rb") as source, beside.open("wb") as sink:
                source.seek(offset)
                shutil.copyfileobj(source, sink)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def size_of_access_log(self, name: str) -> int | None:
        """How many bytes a file of elb_access/ has; None where it is not there."""
        path = self.path / ACCESS_LOG / name
        return path.stat().st_size if path.is_file() else None

    def keep_access_log_file(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a file of elb_access/ that was fetched from elsewhere; it appears whole."""
        (self.path / ACCESS_LOG).mkdir(exist_ok=True)
        write_whole(self.path / ACCESS_LOG / name, parts)

    def read_access_log(self) -> Iterator[str]:
        """Yield the lines of every file of the log, gzip or not; EvidenceError on damage."""
        for path in self._access_logs():
            try:
                open_log = gzip.open if path.suffix == ".gz" else open
                with open_log(path, "rt", encoding="utf-8", errors="replace") as lines:
                    yield from lines
            except (OSError, EOFError, zlib.error) as error:
                raise EvidenceError(f"{path} cannot be read: {error}; fetch it again") from error

    def _access_logs(self) -> list[Path]:
        folder = self.path / ACCESS_LOG
        files = [*self.path.glob(f"{ACCESS_LOG}*"), *folder.rglob("*")]
        return sorted(
            each
            for each in files
            if each.suffix in (".log", ".gz")
            and not each.name.startswith(_OTHER_LOGS)
            and each.is_file()
        )

    # --- run.json and the first snapshot ---

    def read_run(self) -> dict[str, Any]:
        """Return run.json; EvidenceError if it is missing or unreadable."""
        return self._read_json(RUN_FILE, "it is what a run writes first")

    def update_run(self, **changes: object) -> None:
        """Set fields of run.json, leaving the others; it is made if missing. Atomic."""
        with locked(self.path):
            run = self.read_run() if self.has(RUN_FILE) else {"run_id": self.run_id}
            self.write_json(RUN_FILE, {**run, **changes})

    def read_before(self) -> dict[str, Any] | None:
        """Return the snapshot taken before the run; None if there is none."""
        return self._read_json(BEFORE_FILE, "") if self.has(BEFORE_FILE) else None

    def write_before(self, snapshot: Mapping[str, object]) -> None:
        """Store the snapshot taken before the run."""
        self.write_json(BEFORE_FILE, snapshot)

    # --- events.csv ---

    def append_event(self, event: Event) -> None:
        """Add a row to events.csv by one write, safe against other writers and a sudden end."""
        path = self.path / EVENTS.file_name
        header = b"" if path.exists() else csv_line(list(EVENTS.columns))
        append_bytes(path, header + csv_line(EVENTS.cells(event)))

    # --- tables and results ---

    def read_summary(self) -> dict[str, Any] | None:
        """Return what the run was judged to be; None if it was not, EvidenceError if damaged."""
        if not self.has(SUMMARY_FILE):
            return None
        hint = "`python -m analysis reconcile` writes it anew"
        summary = self._read_json(SUMMARY_FILE, hint)
        if not _has_its_parts(summary):
            raise EvidenceError(f"{self.path / SUMMARY_FILE} makes no sense; {hint}")
        return summary

    def has(self, file_name: str) -> bool:
        """Whether the run has this file."""
        return (self.path / file_name).is_file()

    def size(self, file_name: str) -> int:
        """How many bytes a file has; 0 where there is none."""
        return (self.path / file_name).stat().st_size if self.has(file_name) else 0

    def stored_bytes(self, file_name: str) -> int:
        """How many bytes the file has that a table is read from; 0 where there is none."""
        return self.size(self.stored(file_name).name)

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
            self.take(part, target.name)

    def write_text(self, file_name: str, content: str) -> None:
        """Write a text file in one step: readers see the old or the new one, never a part."""
        with self._new_file(file_name) as file:
            file.write(content)

    def write_bytes(self, file_name: str, content: bytes) -> None:
        """Write a file of bytes in one step."""
        beside = self.path / f".{file_name}.{os.getpid()}.part"
        try:
            beside.write_bytes(content)
            beside.replace(self.path / file_name)
        finally:
            beside.unlink(missing_ok=True)

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

    def _read_json(self, file_name: str, hint: str) -> dict[str, Any]:
        path = self.path / file_name
        try:
            text = text_of(path.read_bytes(), of=path)
            content = json.loads(text, parse_constant=_finite, parse_float=_finite)
        except FileNotFoundError as error:
            raise EvidenceError(f"{path} is missing; {hint}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise EvidenceError(
                f"{path} cannot be read as JSON: {error}; restore it as the run wrote it"
            ) from error
        if not isinstance(content, dict):
            raise EvidenceError(f"{path} holds no JSON object; restore it as the run wrote it")
        return content

    @contextmanager
    def _new_file(self, file_name: str) -> Iterator[TextIO]:
        beside = self.path / f".{file_name}.{os.getpid()}.part"
        try:
            # A string that is not valid Unicode must not stop the rest from being written.
            with beside.open(
                "w", buffering=_BUFFER, encoding="utf-8", errors="backslashreplace", newline=""
            ) as file:
                yield file
            self.take(beside, file_name)
        finally:
            beside.unlink(missing_ok=True)

    def take(self, written: Path, file_name: str) -> None:
        """Give a whole file of this disk its name in the run, once it is on the disk for good."""
        with written.open("rb") as file:
            os.fsync(file.fileno())
        written.replace(self.path / file_name)
        sync_folder(self.path)


def _finite(text: str) -> float:
    """Return a number of JSON's; it has no NaN, and what is beyond all numbers measures nothing."""
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is no number to measure by")
    return number


def _has_its_parts(summary: Mapping[str, Any]) -> bool:
    """Whether the parts of summary.json that lists and comparisons read are what they should be."""
    counts = [summary.get(name) or {} for name in ("attempts", "orders")]
    windows = summary.get("windows") or {}
    if not all(isinstance(part, dict) for part in (*counts, windows)):
        return False
    known = [number for part in counts for number in part.values() if number is not None]
    spans = [window for window in windows.values() if window is not None]
    return all(isinstance(number, int) for number in known) and all(map(_is_window, spans))


def _is_window(window: object) -> bool:
    if not isinstance(window, dict) or not isinstance(window.get("seconds"), int | float):
        return False
    try:
        return all(parse_time(window[end]) is not None for end in ("from", "to"))
    except (KeyError, TypeError, ValueError):
        return False


def _last_line(content: bytes) -> bytes:
    return content[content.rfind(b"\n", 0, -1) + 1 :]


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


def _compact_time(at: int) -> str:
    """20261123T151530Z."""
    return re.sub(r"\.\d+|[-:]", "", format_time(at))


def _as_file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip(".-")


def _make_next(root: Path, name: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = root / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            path.mkdir()
            return path
        number += 1


def _make_empty(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    _refuse_taken(path)
    return path


def _refuse_taken(path: Path) -> None:
    taken = [name for name in (RUN_FILE, LEDGER_FOLDER, EVENTS.file_name) if (path / name).exists()]
    if taken:
        raise EvidenceError(
            f"{path} holds a run already ({', '.join(taken)}); name another directory"
        )


def _point(link: Path, target: Path) -> None:
    """Make or move a symbolic link in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.exists() and not link.is_symlink():
        raise EvidenceError(f"{link} is not a link to the newest run; move it away")
    beside = link.with_name(f".{link.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    inside = target.parent == link.parent.resolve()
    beside.symlink_to(target.name if inside else target)
    beside.replace(link)
