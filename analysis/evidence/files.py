"""Files as they are read and written anywhere in a run: text, rows of CSV, whole or not at all.

UTF-8 is read; all else is named with the way out. A byte order mark is taken and left out.
"""

import csv
import errno
import fcntl
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from analysis.evidence.errors import EvidenceError, UsageError

UTF_8 = "utf-8-sig"
LONGEST_LINE = 1 << 24  # of a ledger; no cell of a table is longer either
csv.field_size_limit(LONGEST_LINE)  # what we have written can be read again
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def text_of(content: bytes, *, of: object) -> str:
    """Return the text of a file that is named `of`; EvidenceError if it is empty or no UTF-8."""
    if not content.strip():
        raise EvidenceError(f"{of} is empty; write it anew, or restore it from a copy")
    try:
        text = content.decode(UTF_8)
    except UnicodeDecodeError as error:
        raise EvidenceError(f"{of} {why_not_utf_8(content)}") from error
    if "\0" in text[:2]:  # every second byte of UTF-16 is one where there is no mark to tell
        raise EvidenceError(f"{of} {why_not_utf_8(_UTF_16[0])}")
    return text


def why_not_utf_8(first: bytes) -> str:
    """Say what the encoding is, as far as the first bytes tell, and what to do."""
    if first.startswith(_UTF_16):
        return "is UTF-16, as PowerShell's > writes it; save it as UTF-8"
    return "is not UTF-8; save it as UTF-8"


def read_rows(path: Path, *, may_be_cut: bool = False) -> Iterator[dict[str, str]]:
    """Yield the rows of any CSV file with a header; EvidenceError if it is none.

    What `may_be_cut` is a file that was being written when its process was killed: its last row is
    left out unless it is whole.
    """
    try:
        text = text_of(path.read_bytes(), of=path)
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}") from error
    if may_be_cut:
        text = text[: text.rfind("\n") + 1]
    lines = csv.reader(io.StringIO(text, newline=""), strict=not may_be_cut)
    try:
        yield from _named_cells(lines, may_be_cut=may_be_cut)
    except (ValueError, csv.Error) as error:
        raise EvidenceError(
            f"{path}, line {lines.line_num}: {error}; restore it as it was written"
        ) from error


def _named_cells(lines: Iterator[list[str]], *, may_be_cut: bool) -> Iterator[dict[str, str]]:
    header = next(lines, [])
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise ValueError(f"its header names {', '.join(twice)} twice")
    odd: list[str] = []
    for cells in lines:
        if odd and cells:
            break  # what was cut off is the last
        if len(cells) == len(header):
            yield dict(zip(header, cells, strict=True))
        elif cells:
            odd = cells
    if odd and (cells or not may_be_cut):
        raise ValueError(f"it has {len(odd)} cells under a header of {len(header)}")


def csv_lines(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows as the lines of a CSV file, ends included."""
    lines: list[str] = []
    csv.writer(_Collector(lines)).writerows(rows)
    return lines


def csv_line(cells: list[str]) -> bytes:
    """Return a row as the bytes of a line."""
    return csv_lines([cells])[0].encode("utf-8", errors="backslashreplace")


class _Collector:
    """The least a csv.writer needs to write to."""

    def __init__(self, parts: list[str]) -> None:
        self.write = parts.append


def append_file(path: Path, text: str) -> None:
    """Add to a file that is not a run's; EvidenceError where that cannot be done."""
    try:
        append_bytes(path, text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise EvidenceError(f"{path} cannot be written: {error.strerror}") from error


def append_bytes(path: Path, content: bytes) -> None:
    """Add to a file, in one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def write_file(path: Path, text: str) -> None:
    """Write a file that somebody asked for by name; UsageError where that cannot be done."""
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file in one step: readers see the old or the new one, never a part."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Make the names in a folder last: a file that is synced can still lose its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # so say file systems that cannot, and need not
            raise
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path, *, waits: bool = True) -> Iterator[None]:
    """Keep other processes out of a folder; BlockingIOError where one is in it, unless it waits."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        yield
    finally:
        # Closing would do it too, but gevent puts closing off, and the next update would wait.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
