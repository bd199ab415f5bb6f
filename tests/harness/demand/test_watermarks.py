"""Watermarks: no two orders that could be mistaken for each other, or it was said."""

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harness.demand.watermarks import Cell, Watermarks
from tests.examples import examples

WINDOW_S = 60.0
PRODUCTS = (3, 4, 9)


@dataclass
class Held:
    """One order as the test remembers it."""

    cell: Cell
    released_at_s: float | None = None
    is_open: bool = False

    def could_be_mistaken(self, cell: Cell, at_s: float) -> bool:
        if self.cell != cell:
            return False
        if self.released_at_s is None:
            return True
        return self.is_open and self.released_at_s + WINDOW_S > at_s


class Orders(RuleBasedStateMachine):
    """Orders begin, end well or openly, and time passes, in any order."""

    @initialize(quantity_max=st.integers(1, 4), parts=st.integers(1, 3), part=st.integers(0, 2))
    def begin(self, quantity_max: int, parts: int, part: int) -> None:
        parts = min(parts, quantity_max)
        self.part, self.parts = part % parts, parts
        self.marks = Watermarks(
            quantity_max=quantity_max,
            window_s=WINDOW_S,
            seed=1,
            part=self.part,
            parts=parts,
        )
        self.at_s = 0.0
        self.all: list[Held] = []
        self.waiting: list[Held] = []

    def own_cells(self, products: tuple[int, ...]) -> set[Cell]:
        return {
            Cell(product_id=product, quantity=quantity)
            for product in products
            for quantity in self.marks.quantities(product)
        }

    def is_free(self, cell: Cell) -> bool:
        return not any(each.could_be_mistaken(cell, self.at_s) for each in self.all)

    @rule(products=st.sampled_from([PRODUCTS, PRODUCTS[:2], PRODUCTS[2:]]))
    def order(self, products: tuple[int, ...]) -> None:
        own = self.own_cells(products)
        free = {cell for cell in own if self.is_free(cell)}
        unmarked = {c for c in free if not any(h.cell == c and h.is_open for h in self.all)}
        before = self.marks.exhausted
        cell = self.marks.take(products, at_s=self.at_s)
        assert cell in own
        assert (self.marks.exhausted > before) is not bool(free)
        assert cell in (unmarked or free or own)
        held = Held(cell)
        self.all.append(held)
        self.waiting.append(held)

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 1000), is_open=st.booleans())
    def end(self, which: int, is_open: bool) -> None:
        held = self.waiting.pop(which % len(self.waiting))
        held.released_at_s, held.is_open = self.at_s, is_open
        self.marks.release(held.cell, at_s=self.at_s, is_open=is_open)

    @rule(seconds=st.sampled_from([0.5, 20.0, 60.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.at_s += seconds

    @invariant()
    def quantities_are_orderable(self) -> None:
        assert all(each.cell.quantity >= 1 for each in getattr(self, "all", []))


TestOrders = Orders.TestCase
TestOrders.settings = settings(examples(60), stateful_step_count=40)


@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 10_000))
def test_processes_share_all_cells_and_no_cell(
    quantity_max: int, parts: int, product_id: int
) -> None:
    quantity_max = max(quantity_max, parts)
    each = [
        Watermarks(
            quantity_max=quantity_max, window_s=1, seed=1, part=part, parts=parts
        ).quantities(product_id)
        for part in range(parts)
    ]
    assert all(each)
    assert sorted(itertools.chain.from_iterable(each)) == list(range(1, quantity_max + 1))


def test_too_few_quantities_for_the_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="too few for 3 processes"):
        Watermarks(quantity_max=2, window_s=1, seed=1, parts=3)


def test_small_orders_come_first_so_that_stock_lasts() -> None:
    marks = Watermarks(quantity_max=50, window_s=1, seed=1)
    taken = [marks.take([1, 2], at_s=0) for _ in range(10)]
    assert {cell.quantity for cell in taken} <= set(range(1, 11))
    assert marks.exhausted == 0


def test_open_end_blocks_its_cell_until_the_window_is_over() -> None:
    marks = Watermarks(quantity_max=1, window_s=60, seed=1)
    cell = marks.take([1], at_s=0)
    marks.release(cell, at_s=5, is_open=True)
    assert marks.take([1], at_s=65) == cell
    assert marks.exhausted == 0
    marks.release(cell, at_s=66, is_open=True)
    assert marks.take([1], at_s=125.9) == cell
    assert marks.exhausted == 1
