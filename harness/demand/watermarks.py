"""Products and quantities handed out so that open orders can be told apart by them. Pure.

Where a shop stores no key, a row says only what was ordered. A cell is one product and quantity:
it is taken while an order of it is open, and again for a window after one whose end is unknown.
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one order is of."""

    product_id: int
    quantity: int


@dataclass(slots=True)
class _Shelf:
    """The cells of one product, by quantity.

    `clean` are free and never had an order whose end was unknown; `marked` had one, and are free
    again at the time in front; `holders` are open, with how many hold each and since when.
    """

    clean: list[int] = field(default_factory=list)
    marked: list[tuple[float, int]] = field(default_factory=list)
    holders: dict[int, int] = field(default_factory=dict)
    taken_at_s: dict[int, float] = field(default_factory=dict)
    marked_until_s: dict[int, float] = field(default_factory=dict)


class Watermarks:
    """The cells of one of `parts` processes: no two of them have one in common.

    `exhausted` counts the orders for which there was none free, and which may be mistaken.
    """

    def __init__(
        self, *, quantity_max: int, window_s: float, seed: int, part: int = 0, parts: int = 1
    ) -> None:
        if quantity_max < parts:
            raise ValueError(f"{quantity_max} quantities are too few for {parts} processes")
        self.exhausted = 0
        self._quantity_max = quantity_max
        self._window_s = window_s
        self._part = part
        self._parts = parts
        self._random = random.Random(seed * parts + part)
        self._shelves: dict[int, _Shelf] = {}

    def quantities(self, product_id: int) -> range:
        """Return the quantities of a product that belong to this process."""
        first = (self._part - product_id) % self._parts or self._parts
        return range(first, self._quantity_max + 1, self._parts)

    def take(self, product_ids: Sequence[int], *, at_s: float) -> Cell:
        """Take a cell of one of these products (at least one); release it when its order ended.

        A cell that never had an open end comes first, and of those the smallest quantity. Where
        none is free it is the one that will be free soonest, and `exhausted` is one more.
        """
        first = self._random.choice(product_ids)
        if self._shelf(first).clean:  # as it mostly is
            return self._hold(first, heapq.heappop(self._shelf(first).clean), at_s)
        shelves = {each: self._shelf(each) for each in product_ids}
        with_clean = [each for each, shelf in shelves.items() if shelf.clean]
        if with_clean:
            product_id = self._random.choice(with_clean)
            return self._hold(product_id, heapq.heappop(shelves[product_id].clean), at_s)
        marked = [(*shelf.marked[0], each) for each, shelf in shelves.items() if shelf.marked]
        if marked:
            free_at_s, quantity, product_id = min(marked)
            self.exhausted += free_at_s > at_s
            heapq.heappop(shelves[product_id].marked)
            return self._hold(product_id, quantity, at_s)
        self.exhausted += 1
        return self._share_longest_held(shelves, at_s)

    def release(self, cell: Cell, *, at_s: float, is_open: bool) -> None:
        """Give a cell back. `is_open`: some attempt's end is unknown, so a row may yet come."""
        shelf, quantity = self._shelves[cell.product_id], cell.quantity
        if is_open:
            shelf.marked_until_s[quantity] = at_s + self._window_s
        shelf.holders[quantity] -= 1
        if shelf.holders[quantity]:
            return
        del shelf.holders[quantity], shelf.taken_at_s[quantity]
        if quantity in shelf.marked_until_s:
            heapq.heappush(shelf.marked, (shelf.marked_until_s[quantity], quantity))
        else:
            heapq.heappush(shelf.clean, quantity)

    def _shelf(self, product_id: int) -> _Shelf:
        shelf = self._shelves.get(product_id)
        if shelf is None:
            clean = list(self.quantities(product_id))
            shelf = self._shelves[product_id] = _Shelf(clean=clean)
        return shelf

    def _hold(self, product_id: int, quantity: int, at_s: float) -> Cell:
        shelf = self._shelves[product_id]
        shelf.holders[quantity] = shelf.holders.get(quantity, 0) + 1
        shelf.taken_at_s[quantity] = at_s
        return Cell(product_id=product_id, quantity=quantity)

    def _share_longest_held(self, shelves: dict[int, _Shelf], at_s: float) -> Cell:
        held = [
            (taken_at_s, product_id, quantity)
            for product_id, shelf in shelves.items()
            for quantity, taken_at_s in shelf.taken_at_s.items()
        ]
        _, product_id, quantity = min(held, key=itemgetter(0))
        return self._hold(product_id, quantity, at_s)
