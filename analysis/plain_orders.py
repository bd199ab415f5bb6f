"""The plain orders of a run: in numbers, and as what lines are written from. A part of `sieve`."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.cells import NO_TIME, Numbers
from analysis.plain import Ending, Plain, Stretch
from analysis.plain_lines import Absent, PlainLines, WithRows
from analysis.table_rows import Ordered, TableRows

__all__ = ["STATUSES", "Open", "Pairs", "PlainOrders"]

STATUSES: Final = (100, 999)  # of HTTP, from the least to the greatest
_AT_ONCE = 1 << 16  # rows or pairs


class Pairs(NamedTuple):
    """Acknowledged attempts, and the number of the row that is theirs.

    `traces` are hashes of their trace ids, where there is a log that knows requests by these, and
    else nothing.
    """

    rows: Numbers
    due: Numbers
    sent: Numbers
    ended: Numbers
    http: Numbers
    places: Numbers
    traces: NDArray[np.unsignedinteger]


class Open(NamedTuple):
    """Attempts without a definite answer; `errors` are known by their number."""

    orders: Ordered
    due: Numbers
    sent: Numbers
    ended: Numbers
    http: Numbers
    errors: Numbers
    places: Numbers


@dataclass(frozen=True, slots=True)
class PlainOrders:
    """The plain orders: the rows of the run, the attempts that are theirs, and those without."""

    made: TableRows
    pairs: Pairs
    committed: Open
    made_rows: Numbers  # those of the committed
    absent: Open
    errors: list[bytes]
    cents_of: Callable[[Numbers, Numbers], Numbers]

    def lines(self) -> PlainLines:
        """Return what their lines are written from."""
        rows, pairs, committed, absent = self.made.rows, self.pairs, self.committed, self.absent
        of_row = partial(
            WithRows,
            attempts=self.made.attempts,
            keys=self.made.keys,
            order_ids=rows.ids,
            products=rows.products,
            quantities=rows.quantities,
            committed=rows.committed,
        )
        kinds: list[WithRows | Absent] = [
            of_row(
                rows=pairs.rows,
                http=pairs.http,
                errors=np.broadcast_to(np.int32(0), len(pairs.rows)),
                texts=[b""],
                told=b"acknowledged",
                found=b"confirmed,order_id",
            ),
            of_row(
                rows=self.made_rows,
                http=committed.http,
                errors=committed.errors,
                texts=self.errors,
                told=b"indeterminate",
                found=b"committed,key",
            ),
            Absent(
                attempts=absent.orders.attempts,
                keys=absent.orders.keys,
                products=absent.orders.products,
                quantities=absent.orders.quantities,
                http=absent.http,
                errors=absent.errors,
                texts=self.errors,
            ),
        ]
        return PlainLines(kinds, np.concatenate([pairs.sent, committed.sent, absent.sent]))

    def numbers(self) -> Plain:
        """Count them."""
        from_due: Counter[int] = Counter()
        from_sent_of_due: Counter[int] = Counter()
        from_sent_of_others: Counter[int] = Counter()
        for attempts in (self.pairs, self.committed, self.absent):
            due, took = attempts.due, attempts.ended - attempts.sent
            if (was_due := due != NO_TIME).any():
                since_due = attempts.ended[was_due] - due[was_due]
                from_due.update(_counts(np.maximum(0, since_due)))
                from_sent_of_due.update(_counts(took[was_due]))
                took = took[~was_due]
            from_sent_of_others.update(_counts(took))
        return Plain(
            confirmed=len(self.pairs.rows),
            committed=self._endings(self.committed),
            absent=self._endings(self.absent),
            hidden=self._hidden(),
            sold=self._sold(),
            from_due=from_due,
            from_sent_of_due=from_sent_of_due,
            from_sent_of_others=from_sent_of_others,
            agreed=self._agreed,
        )

    def _endings(self, attempts: Open) -> dict[Ending, int]:
        numbers = _counts(attempts.errors * np.int64(STATUSES[1] + 1) + attempts.http)
        found = ((*divmod(number, STATUSES[1] + 1), count) for number, count in numbers.items())
        return {(http or None, self.errors[error].decode()): count for error, http, count in found}

    def _hidden(self) -> tuple[int, Decimal]:
        """Return the pieces of committed orders and what they cost, with the decimals of rows.

        What costs nothing has no decimals, as where `reconcile` adds it up.
        """
        rows = self.made.rows
        products = rows.products[self.made_rows].astype(np.int64)
        quantities = rows.quantities[self.made_rows].astype(np.int64)
        cents = sum(self.cents_of(products, quantities).tolist())
        return int(quantities.sum()), Decimal(cents).scaleb(-2) if cents else Decimal(0)

    def _sold(self) -> dict[int, int]:
        rows = self.made.rows
        are_sold = np.zeros(len(rows.ids), np.bool_)
        are_sold[self.pairs.rows] = True
        are_sold[self.made_rows] = True
        sold: Counter[int] = Counter()
        for low in range(0, len(are_sold), _AT_ONCE):
            part = are_sold[low : low + _AT_ONCE]
            products = rows.products[low : low + _AT_ONCE][part]
            sold.update(_sums(products, rows.quantities[low : low + _AT_ONCE][part]))
        return sold

    def _agreed(self, further: Sequence[Stretch]) -> Stretch | None:
        """Return the first stretch of offsets that lies in the most of the bounds.

        `clock` has the same for few in Python.
        """
        more = np.array(further, np.int64).reshape(-1, 2)
        lowest, highest = [*more[:, 0].tolist()], [*more[:, 1].tolist()]
        for part in self._bounds():
            lowest.append(int(part[0].max()))
            highest.append(int(part[1].min()))
        if max(lowest) <= min(highest):
            return max(lowest), min(highest)  # all of them agree, as they mostly do
        lows, highs = map(np.concatenate, zip(*self._bounds(), more.T, strict=True))
        edges = np.sort(np.concatenate([lows * 2, highs * 2 + 1]))  # a start before an end
        is_end = edges & 1
        depths = np.cumsum(1 - 2 * is_end)
        deepest = int(np.argmax(np.where(is_end, 0, depths)))
        return int(edges[deepest] >> 1), int(edges[deepest + 1] >> 1)

    def _bounds(self) -> Iterator[tuple[Numbers, Numbers]]:
        """Yield what each pair says of the clocks, few enough at once for a cache to hold."""
        for low in range(0, len(self.pairs.rows), _AT_ONCE):
            part = slice(low, low + _AT_ONCE)
            created = self.made.rows.created[self.pairs.rows[part]]
            yield created - self.pairs.ended[part], created - self.pairs.sent[part]


def _counts(values: Numbers) -> dict[int, int]:
    if values.max(initial=0) < len(values):
        counts = np.bincount(values)  # many times as fast as sorting them
        found = np.flatnonzero(counts)
        counts = counts[found]
    else:
        found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _sums(kinds: Numbers, pieces: Numbers) -> dict[int, int]:
    """Return how many pieces there are of each kind."""
    which, names = kinds, np.arange(_AT_ONCE)
    if kinds.max(initial=0) >= _AT_ONCE:
        names, which = np.unique(kinds, return_inverse=True)
    sums = np.bincount(which, pieces)
    found = np.flatnonzero(sums)
    return dict(zip(names[found].tolist(), map(int, sums[found].tolist()), strict=True))
