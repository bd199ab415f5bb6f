"""A CSV file's cells as arrays of numbers, where they are spelled exactly as we spell them.

A part of `sieve`, for it alone. A file is taken in blocks of whole lines, and a block is split at
all its commas at once. A line in which anything is otherwise (a quote, another line end, a cell too
many) comes as `odd` cells, read by `csv`. Whatever a number or a time is read from is eight bytes
at a time in a register (D. Lemire, "Quickly parsing eight digits"), and no spelling but ours passes
for one: not `007`, not a UUID in capitals, not the 30th of February.
"""

import csv
import io
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.records import format_time, parse_time

__all__ = [
    "A_MINUTE",
    "ID_LENGTH",
    "NO_TIME",
    "TIME_LENGTH",
    "Block",
    "Booleans",
    "Bytes",
    "Cells",
    "Ids",
    "Layout",
    "Numbers",
    "Texts",
    "Words",
    "are_beside_equals",
    "find_ids",
    "hashed",
    "in_order_of",
    "same_ids",
]

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Numbers = NDArray[np.signedinteger]
Booleans = NDArray[np.bool_]
Ids = NDArray[np.void]  # texts of ID_LENGTH bytes

ID_LENGTH: Final = 36  # that of a UUID
TIME_LENGTH: Final = 27
A_MINUTE: Final = 60_000_000  # microseconds, as all times are
NO_TIME: Final = -(1 << 62)
_MOST_DIGITS = 16
_MINUTE_LENGTH = 16  # of the text before the seconds

_BLOCK = 2 << 20  # what a core's nearer caches hold, with the arrays made of it
_MARGIN = 64  # before and behind a block's bytes: a window never reaches farther
_LONGEST_LINE = 1 << 16
_FEW_BYTES = 512  # more than most lines have
_LOOKED_UP = 500_000  # ids, before what lies around them in the file is let go
_QUOTE, _COMMA, _DOT, _ZERO, _LF, _CR = b'",.0\n\r'
_FIRST_NOT_ASCII = 128
_COLON, _ZULU = b":Z"
_TRACE = b"Root="  # an id as the load balancer's log has it, with its root behind
_IN_A_ROOT = np.array(
    [chr(each).isascii() and (chr(each).isalnum() or chr(each) == "-") for each in range(256)]
)
_A_WORD = 8
_WORD_PLACES = (0, 8, 16, 24, 28)  # in an id
_FACTORS = [  # odd, and otherwise of no meaning
    np.uint64(each)
    for each in (
        *(0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9),
        *(0x27D4EB2F165667C5, 0xD6E8FEB86659FD93),
    )
]


def _each(byte: int) -> np.uint64:
    """A word of eight times this byte."""
    return np.uint64(byte * 0x0101010101010101)


_HIGH, _ZEROS, _SIXES, _BYTE = _each(0xF0), _each(_ZERO), _each(6), np.uint64(8)
_PAIRS, _FOURS, _EIGHTS = (
    np.uint64(each) for each in (0x00FF00FF00FF00FF, 0x0000FFFF0000FFFF, 0x00000000FFFFFFFF)
)
# The last bytes of a word, so many as a text has; the words are little-endian.
_LAST = np.array([(1 << 64) - (1 << 8 * (8 - n)) for n in range(9)], np.uint64)


class Cells(NamedTuple):
    """The numbers in a column's cells; `are_ours` says where there is any."""

    are_ours: Booleans
    values: Numbers

    def chosen(self, which: Booleans | Numbers) -> "Cells":
        """Return some of them."""
        return Cells(self.are_ours[which], self.values[which])

    def are_within(self, low: int, high: int) -> Booleans:
        """Which cells hold a number from `low` to `high`."""
        return self.are_ours & (self.values >= low) & (self.values <= high)


@dataclass(slots=True)
class Layout:
    """A file's blocks and columns."""

    path: Path
    columns: Sequence[str]
    _minutes: dict[tuple[int, int], int] = field(default_factory=dict)

    def spans(self) -> list[tuple[int, int]]:
        """Return from where to where in the file each block reaches; ValueError without lines."""
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            edges = [len(file.readline(_LONGEST_LINE))]
            while edges[-1] < size:
                end = min(size, edges[-1] + _BLOCK)
                edges.append(end if end == size else _line_end(file, end))
                if edges[-1] <= edges[-2]:
                    message = "a line longer than a block"
                    raise ValueError(message)
        if len(edges) == 1:
            message = "no lines behind the header"
            raise ValueError(message)
        return [*pairwise(edges)]

    def block(self, low: int, high: int) -> "Block":
        """Read the lines of a span; ValueError where they are not to be understood."""
        data = np.empty(high - low + 2 * _MARGIN, np.uint8)
        data[:_MARGIN] = data[-_MARGIN:] = 0
        with self.path.open("rb", buffering=0) as file:
            file.seek(low)
            inside = data[_MARGIN:-_MARGIN].data
            while inside and (size := file.readinto(inside)):
                inside = inside[size:]
        if inside:
            message = "the file was cut while it was read"
            raise ValueError(message)
        return _split(self, low, data)

    def lines_at(self, places: Sequence[int]) -> Iterator[list[str]]:
        """Read again single lines that were regular, and yield their cells.

        ValueError where the file has been cut since.
        """
        with self.path.open("rb", buffering=0) as file:
            for place in places:
                line = os.pread(file.fileno(), _FEW_BYTES, place)
                if b"\r\n" not in line:
                    line = os.pread(file.fileno(), _LONGEST_LINE, place)
                yield line[: line.index(b"\r\n")].decode().split(",")

    def minute(self, first: int, second: int) -> int:
        """Return the time of `2026-11-` and `23T12:00`, each as a word; below 0 it is none."""
        known = self._minutes.get((first, second))
        if known is None:
            text = b"".join(each.to_bytes(_A_WORD, "little") for each in (first, second))
            known = self._minutes[first, second] = _minute(text)
        return known


class Texts:
    """The ids in a file, by where they are: looked up there, at no cost of memory."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._windows: Ids = np.ndarray(
            (len(self._bytes) - ID_LENGTH + 1,), f"V{ID_LENGTH}", buffer=self._bytes, strides=(1,)
        )
        self._looked_up = 0

    def ids(self, places: Numbers) -> Ids:
        """Return the ids that begin at some places."""
        found = self._windows[places]
        self._looked_up += len(places)
        if self._looked_up > _LOOKED_UP:
            self.let_go()
        return found

    def let_go(self) -> None:
        """Give back what lies around ids: else all that was looked at counts as our memory."""
        self._looked_up = 0
        with suppress(OSError):  # some systems take no advice
            self._bytes.madvise(mmap.MADV_DONTNEED)


def _minute(text: bytes) -> int:
    whole = text.decode("latin-1") + ":00.000000Z"
    try:
        at = parse_time(whole)
    except ValueError:
        return NO_TIME
    return at if format_time(at) == whole else NO_TIME


def _line_end(file: BinaryIO, before: int) -> int:
    """Return where the last line that ends before a place does; ValueError if that is far off."""
    file.seek(max(0, before - _LONGEST_LINE))
    text = file.read(min(before, _LONGEST_LINE))
    return before - len(text) + text.rindex(b"\n") + 1


@dataclass(slots=True)
class Block:
    """The regular lines of a block: where each begins in `data`, and where each column's cells end.

    `odd` are the cells of the other rows.
    """

    layout: Layout
    low: int
    data: Bytes
    starts: Numbers
    stops: Numbers
    odd: list[list[str]]

    def __len__(self) -> int:
        return len(self.starts)

    def part(self, lines: Numbers) -> "Block":
        """Return a block of some of the lines."""
        stops = self.stops[:, lines]
        return Block(self.layout, self.low, self.data, self.starts[lines], stops, [])

    def places(self) -> Numbers:
        """Return where in the file each line begins."""
        return self.starts + (self.low - _MARGIN)

    def cells(self, lines: Numbers) -> list[list[str]]:
        """Return the cells of some lines as text."""
        found = self._between(self.starts[lines], self.stops[-1, lines])
        return [each.decode().split(",") for each in found]

    def texts(self, column: str, lines: Numbers) -> list[bytes]:
        """Return the texts of a column in some lines."""
        starts, stops = self._span(column)
        return self._between(starts[lines], stops[lines])

    def _between(self, starts: Numbers, stops: Numbers) -> list[bytes]:
        content = self.data.data
        spans = zip(starts.tolist(), stops.tolist(), strict=True)
        return [bytes(content[low:high]) for low, high in spans]

    def are(self, column: str, word: bytes) -> Booleans:
        """Which cells of a column hold this text, of up to 16 bytes."""
        starts, stops = self._span(column)
        found: Booleans = stops - starts == len(word)
        if word and found.any():
            first, last = (
                int.from_bytes(part, "little") for part in (word[:_A_WORD], word[-_A_WORD:])
            )
            found &= self._words(starts) & ~_LAST[_A_WORD - min(len(word), _A_WORD)] == first
            if len(word) > _A_WORD:
                found &= self._words(stops - _A_WORD) == last
        return found

    def are_ids(self, column: str) -> Booleans:
        """Which cells of a column are as long as our ids."""
        starts, stops = self._span(column)
        are_ids: Booleans = stops - starts == ID_LENGTH
        return are_ids

    def ids(self, column: str, lines: Numbers) -> Ids:
        """Return the ids of a column in some lines, where there are any."""
        starts, _ = self._span(column)
        return self._window(starts[lines], ID_LENGTH)

    def are_traces(self, column: str) -> Booleans:
        """Which cells of a column hold `Root=` and a root of the length of ours."""
        starts, stops = self._span(column)
        width = len(_TRACE) - 1 + ID_LENGTH
        are_traces: Booleans = stops - starts == width
        if are_traces.any():
            texts = self._window(starts, width).view(np.uint8).reshape(-1, width)
            are_traces &= (texts[:, : len(_TRACE)] == np.frombuffer(_TRACE, np.uint8)).all(axis=1)
            are_traces &= _IN_A_ROOT[texts[:, len(_TRACE) :]].all(axis=1)
        return are_traces

    def roots(self, column: str, lines: Numbers) -> Ids:
        """Return the roots of the traces of a column in some lines, each behind its `=`."""
        starts, _ = self._span(column)
        return self._window(starts[lines] + len(_TRACE) - 1, ID_LENGTH)

    def distances(self, column: str, lines: Numbers) -> Numbers:
        """Return how far into some lines a column's cells begin."""
        starts, _ = self._span(column)
        return (starts[lines] - self.starts[lines]).astype(np.int32)

    def wholes(self, column: str) -> Cells:
        """Read a column of whole numbers from 0 on, of up to 16 digits."""
        return self._wholes(*self._span(column))

    def money(self, column: str) -> Cells:
        """Read amounts with two decimals, in cents."""
        starts, stops = self._span(column)
        dots = np.maximum(stops - 3, starts)
        whole = self._wholes(starts, dots)
        tens, ones = (self.data[dots + place].astype(np.int64) - _ZERO for place in (1, 2))
        are_ours = whole.are_ours & (self.data[dots] == _DOT) & (stops - starts < _MOST_DIGITS)
        for digits in (tens, ones):
            are_ours &= (digits >= 0) & (digits <= 9)  # noqa: PLR2004
        return Cells(are_ours, whole.values * 100 + tens * 10 + ones)

    def times(self, column: str) -> Cells:
        """Read a column of times, in microseconds."""
        starts, stops = self._span(column)
        are_long = stops - starts == TIME_LENGTH
        if are_long.all() and len(starts):
            return self._times(starts)
        values = np.zeros(len(starts), np.int64)
        if len(lines := np.flatnonzero(are_long)):
            are_long[lines], values[lines] = self._times(starts[lines])
        return Cells(are_long, values)

    def _times(self, starts: Numbers) -> Cells:
        texts = self._window(starts, 4 * _A_WORD).view("<u8").reshape(-1, 4)
        first, second, seconds, end = (texts[:, place] for place in range(4))
        # 2026-11- 23T12:00 :SS.ffff ffZ, of which the digits of seconds and fraction are put
        # beside each other.
        digits = (seconds >> _BYTE) & np.uint64(0xFFFF)
        digits |= (seconds >> np.uint64(32)) << np.uint64(16)
        digits |= end << np.uint64(48)
        are_ours, values = _digits(digits)
        are_ours &= seconds & np.uint64(0xFF0000FF) == _COLON | _DOT << 24
        are_ours &= (end >> np.uint64(16)) & np.uint64(0xFF) == _ZULU
        minutes = self._minutes(first, second)
        are_ours &= (values < A_MINUTE) & (minutes != NO_TIME)
        return Cells(are_ours, values + minutes)

    def _minutes(self, first: Words, second: Words) -> Numbers:
        """Look up the minutes, each as often as another one comes."""
        changes = np.flatnonzero((first[1:] != first[:-1]) | (second[1:] != second[:-1])) + 1
        runs = np.concatenate([[0], changes])
        keys = zip(first[runs].tolist(), second[runs].tolist(), strict=True)
        known = [self.layout.minute(*key) for key in keys]
        return np.repeat(np.array(known, np.int64), np.diff(runs, append=len(first)))

    def _wholes(self, starts: Numbers, stops: Numbers) -> Cells:
        lengths = stops - starts
        are_ours = (lengths > 0) & (lengths <= _MOST_DIGITS)
        fine, values = _digits(self._last_of(stops, np.minimum(lengths, _A_WORD)))
        are_ours &= fine
        if (lengths > _A_WORD).any():
            rest = np.clip(lengths - _A_WORD, 0, _A_WORD)
            fine, more = _digits(self._last_of(stops - _A_WORD, rest))
            are_ours &= fine
            values += more * 10**_A_WORD
        are_ours &= (lengths == 1) | (self.data[starts] != _ZERO)
        return Cells(are_ours, values)

    def _last_of(self, stops: Numbers, lengths: Numbers) -> Words:
        """Return the words of texts that end here, with zeros in front."""
        last = _LAST[lengths]
        return (self._words(stops - _A_WORD) & last) | (_ZEROS & ~last)

    def _span(self, column: str) -> tuple[Numbers, Numbers]:
        place = self.layout.columns.index(column)
        return self.stops[place - 1] + 1 if place else self.starts, self.stops[place]

    def _words(self, places: Numbers) -> Words:
        windows: Words = np.ndarray(
            (len(self.data) - _A_WORD + 1,), "<u8", buffer=self.data, strides=(1,)
        )
        return windows[places]

    def _window(self, places: Numbers, width: int) -> NDArray[np.void]:
        windows: NDArray[np.void] = np.ndarray(
            (len(self.data) - width + 1,), f"V{width}", buffer=self.data, strides=(1,)
        )
        return windows[places]


def _digits(words: Words) -> tuple[Booleans, Numbers]:
    """Read eight digits each, and say which were digits."""
    over = words + _SIXES
    over ^= _ZEROS
    values = words ^ _ZEROS
    over |= values
    over &= _HIGH
    for factor, width, mask in ((10, 8, _PAIRS), (100, 16, _FOURS), (10_000, 32, _EIGHTS)):
        rest = values >> np.uint64(width)
        values *= np.uint64(factor)
        values += rest
        values &= mask
    return over == 0, values.view(np.int64)


def find_ids(texts: Iterable[str]) -> Ids:
    """Return those of some texts that are as long as our ids."""
    found = b"".join(each for each in map(str.encode, texts) if len(each) == ID_LENGTH)
    return np.frombuffer(found, f"V{ID_LENGTH}")


def hashed(ids: Ids) -> Words:
    """Return a number for each id that no two of them are likely to share."""
    hashes = np.zeros(len(ids), np.uint64)
    for place, factor in zip(_WORD_PLACES, _FACTORS, strict=True):
        words: Words = np.ndarray(
            (len(ids),), "<u8", buffer=ids, offset=place if len(ids) else 0, strides=(ID_LENGTH,)
        )
        hashes += words * factor
    hashes ^= hashes >> np.uint64(32)
    hashes *= _FACTORS[0]
    return hashes


def in_order_of(ids: Ids) -> list[NDArray[np.uint32]]:
    """Return what orders ids as texts are ordered, the least important first."""
    parts = ids.view(">u4").reshape(-1, ID_LENGTH // 4)
    return [parts[:, place] for place in range(parts.shape[1] - 1, -1, -1)]


def are_beside_equals(ordered: NDArray[np.generic]) -> Booleans:
    """Which of some values in order are there more than once."""
    are_repeated = np.zeros(len(ordered), np.bool_)
    are_repeated[1:] = ordered[1:] == ordered[:-1]
    are_repeated[:-1] |= are_repeated[1:]
    return are_repeated


def same_ids(ones: Ids, others: Ids) -> Booleans:
    """Which ids are the same as the others at their places, to the last bit."""
    width = ID_LENGTH // 4
    are_same = ones.view(np.uint32) == others.view(np.uint32)
    if are_same.all():
        return np.ones(len(ones), np.bool_)
    found: Booleans = are_same.reshape(-1, width).all(axis=1)
    return found


# --- from bytes to lines ---


def _split(layout: Layout, low: int, data: Bytes) -> Block:
    # As signed numbers all that is not ASCII lies below the comma too, as line ends and quotes do.
    marks = np.flatnonzero(data[_MARGIN:-_MARGIN].view(np.int8) <= _COMMA) + _MARGIN
    pattern = np.frombuffer(b"," * (len(layout.columns) - 1) + b"\r\n", np.uint8)
    if marks[-1:] == len(data) - _MARGIN - 1 and len(marks) % len(pattern) == 0:
        stops = marks.reshape(-1, len(pattern))
        starts = np.concatenate([[_MARGIN], stops[:-1, -1] + 1])
        # Letters between the two characters of a line end are no marks.
        are_ended = stops[:, -1] - stops[:, -2] == 1
        are_short = stops[:, -1] - starts < _LONGEST_LINE
        if (data[stops] == pattern).all() and (are_ended & are_short).all():
            return Block(layout, low, data, starts, stops.T[:-1].copy(), [])
    return _split_with_care(layout, low, data)


def _split_with_care(layout: Layout, low: int, data: Bytes) -> Block:
    """Tell lines that are regular from the others, among which a quoted cell may have line ends."""
    text, width = data[_MARGIN:-_MARGIN], len(layout.columns)
    if text.max() >= _FIRST_NOT_ASCII:
        text.tobytes().decode()  # a UnicodeDecodeError is a ValueError
    ends = np.flatnonzero(text == _LF) + _MARGIN + 1
    if not len(ends) or ends[-1] < len(data) - _MARGIN:
        ends = np.append(ends, len(data) - _MARGIN)
    starts = np.concatenate([[_MARGIN], ends[:-1]])
    quotes, commas, returns = (
        np.flatnonzero(text == each) + _MARGIN for each in (_QUOTE, _COMMA, _CR)
    )
    quoted = np.searchsorted(quotes, ends)
    if len(quotes) % 2:
        message = "a quote that is open at the end of a block"
        raise ValueError(message)
    first = np.searchsorted(commas, starts)
    are_regular = np.searchsorted(commas, ends) - first == width - 1
    are_regular &= np.diff(np.searchsorted(returns, ends), prepend=0) == 1
    are_regular &= (data[ends - 2] == _CR) & (data[ends - 1] == _LF)
    are_regular &= np.diff(quoted, prepend=0) == 0
    are_regular &= quoted % 2 == 0
    are_regular &= ends - starts < _LONGEST_LINE
    lines = np.flatnonzero(are_regular)
    stops = np.empty((width, len(lines)), np.int64)
    stops[:-1] = commas[first[lines] + np.arange(width - 1)[:, None]]
    stops[-1] = ends[lines] - 2
    odd = [*_odd_rows(data, starts, ends, ~are_regular)]
    return Block(layout, low, data, starts[lines], stops, odd)


def _odd_rows(
    data: Bytes, starts: Numbers, ends: Numbers, are_odd: Booleans
) -> Iterator[list[str]]:
    """Yield the rows in each stretch of odd lines.

    A stretch begins where a row does. If it is read to its end with no quote left open, which
    `strict` makes sure of, what follows begins a row as well.
    """
    edges = np.flatnonzero(np.diff(are_odd, prepend=False, append=False)).tolist()
    for first, behind in zip(edges[::2], edges[1::2], strict=True):
        stretch = data[starts[first] : ends[behind - 1]].tobytes().decode()
        try:
            rows = [*csv.reader(io.StringIO(stretch, newline=""), strict=True)]
        except csv.Error as error:
            raise ValueError(str(error)) from error
        yield from filter(None, rows)  # a blank line is no row
