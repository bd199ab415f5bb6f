"""Large runs are read quickly, and no otherwise than exactly: what makes no sense is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ATTEMPTS, ORDERS, Table
from tests.analysis.bulk.test_set_aside import NEVER, honest, respell, results, stored

# A lenient reader takes each of these for a time.
NO_TIMES = [
    "2026/11/23T12:00:00.000000Z",
    "2026 11 23T12:00:00.000000Z",
    "2026-11-23T24:00:00.000000Z",
    "2026-11-23T12:00:00.00000 Z",
    "2026-11-23T      12:00:00 Z",
    "  2026-1-1T12:00:00.000000Z",
    "0000-11-23T12:00:00.000000Z",
]


def _commas_and_a_blank_line(content: bytes) -> bytes:
    """As many commas too many as a blank line lacks, spread over the lines."""
    header, *lines, last = content.split(b"\r\n")
    for number in range(header.count(b",")):
        lines[number % len(lines)] += b","
    return b"\r\n".join([header, b"", *lines, last])


def _another_column(content: bytes) -> bytes:
    """A column that is none of ours, and not UTF-8."""
    header, *lines, last = content.split(b"\r\n")
    return b"\r\n".join([header + b",note", *(each + b",\xff" for each in lines), last])


STRUCTURES: dict[str, Callable[[bytes], bytes]] = {
    "cut in a line": lambda content: content[:-40],
    "cut between lines": lambda content: content[: content.rindex(b"\r\n", 0, -2) + 2],
    "without its last end": lambda content: content[:-2],
    "other line ends": lambda content: content.replace(b"\r\n", b"\n"),
    "one other line end": lambda content: content.replace(b"\r\n", b"\n", 2),
    "byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    "blank line": lambda content: content.replace(b"\r\n", b"\r\n\r\n", 1),
    "line twice": lambda content: content + content.split(b"\r\n")[1] + b"\r\n",
    "open quote": lambda content: content.replace(b",", b',"', 30),
    "commas too many, and a blank line": _commas_and_a_blank_line,
    "another's column that is not UTF-8": _another_column,
    "not UTF-8": lambda content: content.replace(b"order", b"order\xff")[:-10] + b"\xff\r\n",
}


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return stored(honest(6, absent=1), str(tmp_path))


def quickly_and_exactly(directory: RunDirectory) -> tuple[object, object]:
    return results(directory, set_aside_above=0)[0], results(directory, set_aside_above=NEVER)[0]


def test_the_run_itself_is_read_quickly(directory: RunDirectory) -> None:
    assert results(directory, set_aside_above=0)[1].attempts == 7


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_refused(directory: RunDirectory, text: str) -> None:
    column = list(ORDERS.columns).index("created_at")
    respell(directory.path / ORDERS.file_name, 1, column, text.encode())
    quickly, exactly = quickly_and_exactly(directory)
    assert quickly == exactly
    assert f"its created_at is {text!r}" in str(exactly)


@pytest.mark.parametrize("table", [ATTEMPTS, ORDERS], ids=["attempts", "orders"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_a_file_that_is_damaged_is_taken_or_refused_alike(
    directory: RunDirectory, table: Table[Any], name: str
) -> None:
    path = directory.path / table.file_name
    path.write_bytes(STRUCTURES[name](path.read_bytes()))
    quickly, exactly = quickly_and_exactly(directory)
    assert quickly == exactly
