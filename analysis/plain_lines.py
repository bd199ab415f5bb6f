"""Lines of reconciliation.csv about plain orders, written many at once. A part of `sieve`.

Lines whose cells are as long as each other's are laid out as one table of bytes, and put where they
belong among the others; the bytes are those that `summary` writes of the same orders.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.ahead import in_order
from analysis.cells import (
    A_MINUTE,
    ID_LENGTH,
    NO_TIME,
    TIME_LENGTH,
    Bytes,
    Ids,
    Numbers,
    are_beside_equals,
    in_order_of,
)
from analysis.records import Attempt, format_time

__all__ = ["Absent", "PlainLines", "WithRows"]

_LINES_AT_ONCE = 50_000
_THREADS = 2

_ZERO = ord("0")
_MINUTE_LENGTH = 17  # of the text before the seconds, colon included
_MOST_DIGITS = 20

Column = NDArray[np.void]  # of texts of one length
_Table = tuple[Numbers, Column]  # lines that are alike: which they are, and the lines


class Text(NamedTuple):
    """Lines, and where each begins, with the end."""

    content: Bytes
    edges: Numbers


@dataclass(frozen=True, slots=True)
class WithRows:
    """Attempts that made rows: of each the number of its row, its status and its error, if any.

    `attempts` and `keys` look up the ids of rows. `http` is 0 where there was none, and `errors`
    counts `texts`. `told` is what the client knew, and `found` what was found of it.
    """

    attempts: Callable[[Numbers], Ids]
    keys: Callable[[Numbers], Ids]
    order_ids: Numbers
    products: Numbers
    quantities: Numbers
    committed: Numbers
    rows: Numbers
    http: Numbers
    errors: Numbers
    texts: Sequence[bytes]
    told: bytes
    found: bytes

    def __len__(self) -> int:
        return len(self.rows)

    def ids(self, which: Numbers) -> Ids:
        """Return the ids of some attempts."""
        return self.attempts(self.rows[which])

    def tables(self, which: Numbers) -> Iterator[_Table]:
        """Yield the lines about some attempts."""
        rows, http, errors = self.rows[which], self.http[which], self.errors[which]
        order_ids, products = self.order_ids[rows], self.products[rows]
        quantities, committed = self.quantities[rows], self.committed[rows]
        are_known = committed != NO_TIME
        numbers = [order_ids, products, quantities, http]
        for alike in _alike(numbers, errors * 2 + are_known):
            of_rows = rows[alike]
            status = _numbers(http[alike]) if http[alike[0]] else b""
            time = _times(committed[alike]) if are_known[alike[0]] else b""
            parts = [
                *(b"attempt,", self.attempts(of_rows), b","),
                *(self.keys(of_rows), b",", _numbers(order_ids[alike]), b","),
                *(_numbers(products[alike]), b",", _numbers(quantities[alike])),
                *(b",", self.told, b",", status, b",", self.texts[int(errors[alike[0]])]),
                *(b",", self.found, b",1,,,,", time, b"\r\n"),
            ]
            yield alike, _beside(parts)


@dataclass(frozen=True, slots=True)
class Absent:
    """Attempts without a row; `http` is 0 where there was none, and `errors` counts `texts`."""

    attempts: Ids
    keys: Ids
    products: Numbers
    quantities: Numbers
    http: Numbers
    errors: Numbers
    texts: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.attempts)

    def ids(self, which: Numbers) -> Ids:
        """Return the ids of some attempts."""
        return self.attempts[which]

    def tables(self, which: Numbers) -> Iterator[_Table]:
        """Yield the lines about some attempts."""
        products, quantities = self.products[which], self.quantities[which]
        http, errors = self.http[which], self.errors[which]
        for alike in _alike([products, quantities, http], errors):
            status = _numbers(http[alike]) if http[alike[0]] else b""
            parts = [
                *(b"attempt,", self.attempts[which[alike]], b","),
                *(self.keys[which[alike]], b",,", _numbers(products[alike]), b","),
                *(_numbers(quantities[alike]), b",indeterminate,", status, b","),
                *(self.texts[int(errors[alike[0]])], b",absent,key,0,,,,\r\n"),
            ]
            yield alike, _beside(parts)


@dataclass(slots=True)
class PlainLines:
    """The lines of plain orders, in `order`, and when each was `sent`.

    They are numbered, those of one kind behind those of another.
    """

    kinds: Sequence[WithRows | Absent]
    sent_by_number: InitVar[Numbers]
    order: Numbers = field(init=False)
    sent: Numbers = field(init=False)

    def __post_init__(self, sent_by_number: Numbers) -> None:
        """Order the lines by when each was sent, and by id."""
        sent = sent_by_number
        self.order = np.argsort(sent, kind="stable")  # they mostly are in order
        self.sent = sent[self.order]
        if len(among_equals := np.flatnonzero(are_beside_equals(self.sent))):
            members = self.order[among_equals]
            ids = in_order_of(self._ids(members))
            self.order[among_equals] = members[np.lexsort((*ids, sent[members]))]

    def among(
        self, others: Sequence[Attempt], their_lines: Iterable[str]
    ) -> Iterator[list[bytes | memoryview]]:
        """Yield all lines in order, many at once; those of `others` are in that order already."""
        order = self.order
        places = deque(self._places(others))
        lines = (line.encode(errors="backslashreplace") for line in their_lines)
        parts = [order[low : low + _LINES_AT_ONCE] for low in range(0, len(order), _LINES_AT_ONCE)]
        done = 0
        for text in in_order(self._spelled, parts, threads=_THREADS):
            content, begun = text.content.data, 0
            pieces: list[bytes | memoryview] = []
            while places and places[0] - done < len(text.edges) - 1:
                end = text.edges[places.popleft() - done]
                pieces += [content[begun:end], next(lines)]
                begun = end
            yield [*pieces, content[begun:]]
            done += len(text.edges) - 1
        yield [*lines]

    def _places(self, others: Sequence[Attempt]) -> list[int]:
        """Return how many plain lines come before that of each other attempt."""
        at = [each.sent_at or 0 for each in others]
        lows = np.searchsorted(self.sent, at, side="left").tolist()
        highs = np.searchsorted(self.sent, at, side="right").tolist()

        def id_of(place: int) -> bytes:
            return self._ids(self.order[place : place + 1]).tobytes()

        return [
            bisect_left(range(high), each.attempt_id.encode(), low, key=id_of)
            for each, low, high in zip(others, lows, highs, strict=True)
        ]

    def _ids(self, which: Numbers) -> Ids:
        ids = np.empty(len(which), f"V{ID_LENGTH}")
        for kind, at, members in self._apart(which):
            ids[at] = kind.ids(members)
        return ids

    def _apart(self, which: Numbers) -> Iterator[tuple[WithRows | Absent, Numbers, Numbers]]:
        """Yield each kind, with which of some attempts are of it and their numbers in it."""
        first = 0
        for kind in self.kinds:
            at = np.flatnonzero((which >= first) & (which < first + len(kind)))
            yield kind, at, which[at] - first
            first += len(kind)

    def _spelled(self, which: Numbers) -> Text:
        tables = [
            (at[alike], table)
            for kind, at, members in self._apart(which)
            for alike, table in kind.tables(members)
        ]
        edges = np.zeros(len(which) + 1, np.int64)
        for at, table in tables:
            edges[at + 1] = table.dtype.itemsize
        np.cumsum(edges, out=edges)
        content = np.empty(edges[-1], np.uint8)
        for at, table in tables:
            _put(content, edges[at], table)
        return Text(content, edges)


def _alike(numbers: Sequence[Numbers], kinds: NDArray[np.generic]) -> Iterator[Numbers]:
    """Yield the lines of each kind with as many digits in each of the numbers."""
    layouts = kinds.astype(np.int64)
    for column in numbers:
        layouts = layouts * _MOST_DIGITS + _lengths(column)
    for layout in np.unique(layouts):
        yield np.flatnonzero(layouts == layout)


def _lengths(values: Numbers) -> Numbers:
    lengths = np.ones(len(values), np.int64)
    power, most = 10, values.max(initial=0)
    while power <= most:
        lengths += values >= power
        power *= 10
    return lengths


def _beside(parts: Sequence[Column | bytes]) -> Column:
    """Put columns of text, or a text that is the same in each line, beside each other."""
    height = next(len(each) for each in parts if not isinstance(each, bytes))
    widths = [len(each) if isinstance(each, bytes) else each.dtype.itemsize for each in parts]
    table = np.empty(height, f"V{sum(widths)}")
    place = 0
    for part, width in zip(parts, widths, strict=True):
        if width:
            column: Column = np.ndarray(
                (height,), f"V{width}", buffer=table, offset=place, strides=table.strides
            )
            column[:] = np.frombuffer(part, f"V{width}") if isinstance(part, bytes) else part
        place += width
    return table


def _put(content: Bytes, places: Numbers, table: Column) -> None:
    width = table.dtype.itemsize
    windows: Column = np.ndarray(
        (len(content) - width + 1,), table.dtype, buffer=content, strides=(1,)
    )
    windows[places] = table


def _column(letters: Bytes) -> Column:
    return letters.view(f"V{letters.shape[1]}").ravel()


def _numbers(values: Numbers) -> Column:
    """Spell numbers that are as long as the first."""
    return _column(_digits(values, len(str(values[0]))))


def _digits(values: Numbers, width: int) -> Bytes:
    texts = np.empty((len(values), width), np.uint8)
    for place in range(width - 1, 0, -1):
        rest = values // 10
        texts[:, place] = values - rest * 10 + _ZERO
        values = rest
    texts[:, 0] = values + _ZERO
    return texts


def _times(at: Numbers) -> Column:
    minutes = at // A_MINUTE
    digits = _digits(at - minutes * A_MINUTE, 8)
    texts = np.empty((len(at), TIME_LENGTH), np.uint8)
    texts[:, :_MINUTE_LENGTH] = _minutes(minutes)
    texts[:, 17:19] = digits[:, :2]
    texts[:, 19] = ord(".")
    texts[:, 20:26] = digits[:, 2:]
    texts[:, 26] = ord("Z")
    return _column(texts)


def _minutes(minutes: Numbers) -> Bytes:
    """Spell minutes as far as their seconds, each as often as another one comes."""
    runs = np.concatenate([[0], np.flatnonzero(minutes[1:] != minutes[:-1]) + 1])
    texts = [format_time(each * A_MINUTE)[:_MINUTE_LENGTH] for each in minutes[runs].tolist()]
    letters = np.frombuffer("".join(texts).encode(), np.uint8).reshape(-1, _MINUTE_LENGTH)
    return np.repeat(letters, np.diff(runs, append=len(minutes)), axis=0)
