"""The rows of the orders table as arrays, by their ids and by the ids that they bear.

A part of `sieve`, for it alone.
"""

from typing import NamedTuple

import numpy as np

from analysis.cells import (
    Booleans,
    Ids,
    Numbers,
    Texts,
    Words,
    are_beside_equals,
    hashed,
    same_ids,
)

__all__ = ["FoundRows", "Index", "Ordered", "RowCells", "TableRows"]


class RowCells(NamedTuple):
    """Rows that are spelled as ours and cost what they should, by their ids.

    Each is at its place in the file, and its other ids are so far behind that.
    """

    ids: Numbers
    products: Numbers
    quantities: Numbers
    created: Numbers
    committed: Numbers
    places: Numbers
    attempts: Numbers
    keys: Numbers


class Index(NamedTuple):
    """Where ids are: the first bits of a hash of each, with its place in the bits behind."""

    hashes: Words
    bits: int

    @classmethod
    def of(cls, hashes: Words) -> "Index":
        """Index ids by their places, given their hashes."""
        bits = max(1, len(hashes).bit_length())
        marked = _without(hashes, bits)
        marked |= np.arange(len(hashes), dtype=np.uint64)
        marked.sort()
        return cls(marked, bits)

    def find(self, ids: Ids) -> Numbers:
        """Return the place of each id, or of one that is much like it; below 0 for none."""
        if not len(self.hashes):
            return np.full(len(ids), -1)
        wanted = _without(hashed(ids), self.bits)
        order = np.argsort(wanted)  # else each search would begin far from the last
        wanted = wanted[order]
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        found = self.hashes[at]
        places = np.empty(len(wanted), np.int64)
        is_there = _without(found, self.bits) == wanted
        places[order] = np.where(is_there, (found ^ wanted).astype(np.int64), -1)
        return places

    def repeated(self) -> Numbers:
        """Return the places of ids that may be there twice."""
        ids = _without(self.hashes, self.bits)
        return (self.hashes ^ ids)[are_beside_equals(ids)].astype(np.int64)


def _without(words: Words, bits: int) -> Words:
    """Return words with their last bits cleared."""
    return words & ~np.uint64((1 << bits) - 1)


class FoundRows(NamedTuple):
    """Rows, and hashes of the ids that they bear."""

    rows: RowCells
    attempts: Words
    keys: Words


class Ordered(NamedTuple):
    """What attempts ordered."""

    attempts: Ids
    keys: Ids
    products: Numbers
    quantities: Numbers


class TableRows(NamedTuple):
    """The rows of the table in the order of their ids, and where their other ids are.

    Only those that `are_single` share no id with another.
    """

    rows: RowCells
    are_single: Booleans
    by_attempt: Index
    by_key: Index
    texts: Texts

    def attempts(self, which: Numbers) -> Ids:
        """Return the ids of the attempts that made some rows."""
        return self.texts.ids(self.rows.places[which] + self.rows.attempts[which])

    def keys(self, which: Numbers) -> Ids:
        """Return the keys of the orders that made some rows."""
        return self.texts.ids(self.rows.places[which] + self.rows.keys[which])

    def are_of(self, which: Numbers, orders: Ordered) -> Booleans:
        """Which of some rows, as the only ones, are those of the orders at their places."""
        are_theirs: Booleans = self.are_single[which]
        are_theirs &= same_ids(self.attempts(which), orders.attempts)
        are_theirs &= same_ids(self.keys(which), orders.keys)
        are_theirs &= self.rows.products[which] == orders.products
        are_theirs &= self.rows.quantities[which] == orders.quantities
        return are_theirs
