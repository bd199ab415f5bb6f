"""Text and rows of CSV, as they are spelled in any file of a run.

UTF-8 is read; all else is named with the way out. A byte order mark is taken and left out.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from analysis.evidence.errors import EvidenceError

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
