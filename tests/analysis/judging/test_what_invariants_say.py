"""What an invariant says for itself: its proof, its doubts, or how much was looked at."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from analysis.evidence.ledger.line_records import LedgerFindings
from analysis.evidence.records import OrderRow, Product, RunVerdict
from analysis.evidence.run import Before, Settle
from analysis.judging.evidence import Evidence
from analysis.verdict.judge_run import judge
from tests.analysis.histories import (
    NOON,
    SECOND,
    SETTLED,
    acknowledged,
    evidence,
    indeterminate,
    products_after,
    rejected,
    row,
    run,
)

HELD, UNDECIDED, BROKEN = RunVerdict.HELD, RunVerdict.UNDECIDED, RunVerdict.BROKEN
A, B, C = acknowledged("a", 1), indeterminate("b"), rejected("c")
ROWS = [row(1, A), row(2, B)]
BEFORE = Before(max_order_id=500, settle=SETTLED, products=())
BUSY = replace(BEFORE, settle=Settle(settled=False, waited_s=30.0))


def said(name: str, case: Evidence, **how: Any) -> tuple[RunVerdict, str]:
    (one,) = [each for each in judge(case, **how).invariants if each.id == name]
    return one.verdict, one.detail


def strangers(*numbers: int) -> list[OrderRow]:
    return [row(number, indeterminate(f"stranger{number}")) for number in numbers]


def strangers_without_keys(*numbers: int) -> list[OrderRow]:
    return [row(number, quantity=9) for number in numbers]


def test_what_holds_says_how_much_was_looked_at() -> None:
    assert {each.id: each.detail for each in judge(evidence([A, B, C], ROWS)).invariants} == {
        "durability": "1 acknowledged, none lost",
        "exactly-once": "2 rows, each of another order",
        "fidelity": "1 acknowledged, none altered",
        "definite-no": "1 refused or unsent attempts, none made a row",
        "conservation": "2 pieces of 2 products",
        "no-oversell": "2 products",
        "arithmetic": "2 totals",
        "nothing-unexpected": "2 rows",
    }
    assert said("arithmetic", evidence([C], [])) == (HELD, "0 totals")


@pytest.mark.parametrize(
    ("number", "named"),
    [
        (1, "order 11"),
        (5, "order 11, 12, 13, 14, 15"),
        (6, "order 11, 12, 13, 14, 15 and 1 more"),
        (8, "order 11, 12, 13, 14, 15 and 3 more"),
    ],
)
def test_of_many_only_the_first_are_named(number: int, named: str) -> None:
    case = evidence([A], [row(1, A), *strangers(*range(11, 11 + number))])
    expected = f"{number} rows that nobody ordered: {named}"
    assert said("nothing-unexpected", case) == (BROKEN, expected)


# --- durability ---


@pytest.mark.parametrize(
    ("ids", "older"),
    [
        ([501, None], ""),
        ([500], " (1 were given the id of an order from before the run, 500 or lower)"),
        ([501, 499, 3], " (2 were given the id of an order from before the run, 500 or lower)"),
    ],
)
def test_the_lost_that_were_named_by_an_older_id_are_counted(
    ids: Sequence[int | None], older: str
) -> None:
    told = acknowledged("told", 900)
    misnamed = acknowledged("misnamed", 400)  # altered: its order is there
    lost = [acknowledged(f"lost{number}", number) for number in ids]
    rows = [row(900, told), row(901, misnamed)]
    expected = f"{len(ids)} of {len(ids) + 2} acknowledged are not in the table"
    case = evidence([told, misnamed, *lost], rows, before=BEFORE)
    assert said("durability", case) == (BROKEN, expected + older)
    assert said("durability", replace(case, before=None)) == (BROKEN, expected)


def test_nothing_acknowledged_could_not_be_lost() -> None:
    expected = "no order was acknowledged, so none could be lost"
    assert said("durability", evidence([B], [row(2, B)])) == (UNDECIDED, expected)


def test_only_acknowledged_orders_that_may_lack_a_row_leave_durability_open() -> None:
    silent = [indeterminate(f"silent{number}") for number in range(2)]
    case = evidence([A, *silent], [row(1), row(2)])
    assert judge(case).findings.count_outcome(silent[0].outcome) == 2
    assert said("durability", case) == (HELD, "1 acknowledged, none lost")
    nameless = acknowledged("nameless", None)
    expected = "of 1 acknowledged orders it is open whether a row is theirs"
    assert said("durability", evidence([A, nameless], [row(1), row(2)])) == (UNDECIDED, expected)


def test_rows_that_were_not_read_are_the_one_reason_why_orders_may_lack_theirs() -> None:
    case = evidence([A, B], [row(501, B)], before=BEFORE, run=run(older_rows=1))
    expected = "1 rows were added with ids from before the run, and not read"
    assert said("durability", case) == (UNDECIDED, expected)


# --- exactly-once, fidelity, definite-no ---


def test_second_rows_are_named() -> None:
    rows = [*ROWS, row(3, B), *strangers(9)]
    assert said("exactly-once", evidence([A, B], rows)) == (BROKEN, "1 second rows: order 3")


def test_what_differs_is_counted_by_whether_its_customer_was_told() -> None:
    altered, wrong = row(1, A, quantity=2), row(2, B, quantity=2)
    told = "1 of 1 acknowledged differ in product, quantity or total, or are another order's"
    silent = "1 rows of unacknowledged orders differ from what was sent"
    assert said("fidelity", evidence([A, B], [altered, row(2, B)])) == (BROKEN, told)
    assert said("fidelity", evidence([A, B], [row(1, A), wrong])) == (BROKEN, silent)
    assert said("fidelity", evidence([A, B], [altered, wrong])) == (BROKEN, f"{told}; {silent}")


def test_without_an_acknowledged_order_fidelity_has_nothing_to_show() -> None:
    assert said("fidelity", evidence([B], [row(2, B)])) == (UNDECIDED, "no order was acknowledged")


def test_rows_of_refused_attempts_are_named() -> None:
    case = evidence([A, C], [row(1, A), row(2, C)])
    assert said("definite-no", case) == (BROKEN, "1 refused attempts made a row: order 2")


def test_a_refusal_is_doubted_for_a_row_that_others_may_have_made_or_that_nobody_has() -> None:
    shared = "1 refused attempts may have made a row that others may have too"
    assert said("definite-no", evidence([A, B, C], [row(1), row(2)])) == (UNDECIDED, shared)
    nobodys = row(2, product_id=2, total=Decimal("5.00"))
    altered = "1 rows without keys may be of refused attempts, and altered"
    assert said("definite-no", evidence([A, C], [row(1), nobodys])) == (UNDECIDED, altered)
    expected = "0 refused or unsent attempts, none made a row"
    assert said("definite-no", evidence([A], [row(1), nobodys])) == (HELD, expected)


# --- prices and stocks ---


def test_a_row_of_an_unknown_product_or_of_none_has_no_known_price() -> None:
    none, *unknown = (row(n, B, product_id=n) for n in (2, 80, 77))
    none = replace(none, product_id=None)
    expected = "the price is unknown or changed"
    for rows, named in (([none], "product 0"), ([*unknown, none], "product 0, 77, 80")):
        case = evidence([A, B], [row(1, A), *rows])
        assert said("arithmetic", case) == (UNDECIDED, f"{named}: {expected}")


def test_wrong_totals_are_named() -> None:
    wrong = [row(1, A, total=Decimal("19.98")), row(2, B)]
    expected = "1 totals are wrong: order 1: 19.98 instead of 19.99"
    assert said("arithmetic", evidence([A, B], wrong)) == (BROKEN, expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("arithmetic", "totals cannot be checked without products.csv"),
        ("fidelity", "totals cannot be checked without products.csv"),
        ("conservation", "there is no products.csv"),
        ("no-oversell", "there is no products.csv"),
    ],
)
def test_products_that_were_not_read_are_given_as_the_reason(name: str, expected: str) -> None:
    assert said(name, evidence([A, B], ROWS, products=None)) == (UNDECIDED, expected)


def sold_of(*stocks: tuple[int | None, int | None]) -> list[Product]:
    """Products with a stock before and after."""
    return [
        replace(product, stock_before=before, stock_after=after)
        for product, (before, after) in zip(products_after([]), stocks, strict=True)
    ]


def test_a_stock_that_fell_by_another_number_is_named_with_both() -> None:
    case = evidence([A, B], ROWS, products=sold_of((9, 6), (5, 5)))
    expected = "product 1: stock fell by 3, 2 ordered"
    assert said("conservation", case) == (BROKEN, expected)


def test_where_rows_were_not_read_a_stock_that_fell_by_another_number_is_a_doubt() -> None:
    products = sold_of((9, 6), (5, None))
    case = evidence([A, B], ROWS, products=products, before=BEFORE, run=run(older_rows=1))
    verdict, detail = said("conservation", case)
    assert verdict is UNDECIDED
    assert detail.split("; ")[:2] == [
        "product 1: stock fell by 3, 2 ordered",
        "the stock of product 2 was not read twice",
    ]


@pytest.mark.parametrize("stock", [(None, 5), (5, None), (None, None)])
def test_a_stock_that_was_not_read_twice_is_named(stock: tuple[int | None, int | None]) -> None:
    case = evidence([A, B], ROWS, products=sold_of((9, 7), stock))
    expected = "the stock of product 2 was not read twice"
    assert said("conservation", case) == (UNDECIDED, expected)


@pytest.mark.parametrize("change", [{"product_id": 77}, {"product_id": None}, {"quantity": None}])
def test_a_row_of_an_unknown_product_or_quantity_leaves_the_stock_open(
    change: dict[str, Any],
) -> None:
    case = evidence([A, B], [row(1, A), replace(row(2, B), **change)])
    expected = "order 2 is of an unknown product or quantity"
    assert said("conservation", case) == (UNDECIDED, expected)


def test_of_many_rows_that_leave_the_stock_open_the_first_are_named() -> None:
    case = evidence([A], [row(1, A), *(row(n, quantity=None) for n in range(11, 18))])
    _, detail = said("conservation", case)
    named = [f"order {n} is of an unknown product or quantity" for n in range(11, 16)]
    assert detail.split("; ") == named


@pytest.mark.parametrize(
    ("after", "verdict", "expected"),
    [
        (0, HELD, "2 products"),
        (-1, BROKEN, "product 1: -1"),
        (None, UNDECIDED, "the stock was not read of product 1"),
    ],
)
def test_stock_may_be_sold_out_and_not_below(
    after: int | None, verdict: RunVerdict, expected: str
) -> None:
    case = evidence([A], [row(1, A)], products=sold_of((1, after), (5, 5)))
    assert said("no-oversell", case) == (verdict, expected)


# --- nothing-unexpected ---


@pytest.mark.parametrize(
    ("nobodys", "expected"), [(1, "one bears no key"), (2, "2 bear no key")], ids=str
)
def test_of_rows_that_nobody_ordered_it_is_said_how_many_bear_no_key(
    nobodys: int, expected: str
) -> None:
    rows = [row(1), *strangers_without_keys(*range(2, 2 + nobodys))]
    verdict, detail = said("nothing-unexpected", evidence([A], rows))
    why = ": strangers', altered, or the second of an order"
    assert (verdict, detail.partition(" (")[2]) == (BROKEN, f"{expected}{why})")


def test_rows_that_are_only_too_late_prove_nothing_and_one_more_does() -> None:
    late = row(2, created_at=NOON + 600 * SECOND)
    said_of_late = "1 of them are only too late, by the late window that was assumed"
    verdict, detail = said("nothing-unexpected", evidence([A, B], [row(1), late]), late_window_s=5)
    assert verdict is UNDECIDED
    assert detail.startswith("1 rows that nobody ordered: order 2")
    assert detail.endswith(said_of_late)
    more = evidence([A, B], [row(1), late, *strangers_without_keys(3)])
    assert said("nothing-unexpected", more, late_window_s=5)[0] is BROKEN


def test_a_row_that_nobody_ordered_is_no_proof_where_the_record_has_a_hole() -> None:
    torn = run(ledger=LedgerFindings(torn_lines=1))
    hole = "1 lines inside a ledger are torn"
    case = evidence([A, B], [*ROWS, *strangers(9)], run=torn)
    expected = f"1 rows that nobody ordered: order 9; {hole}"
    assert said("nothing-unexpected", case) == (UNDECIDED, expected)
    whole = evidence([A, B], ROWS, run=torn)
    assert said("nothing-unexpected", whole) == (UNDECIDED, hole)


def test_whose_rows_without_keys_are_is_open_unless_nobody_can_have_made_them() -> None:
    case = evidence([A, B], [row(1), row(2)])
    expected = "1 rows bear no key, so whose they are is open"
    for name in ("exactly-once", "fidelity", "nothing-unexpected"):
        assert said(name, case) == (UNDECIDED, expected)
    torn = run(ledger=LedgerFindings(torn_lines=1))
    nobodys = evidence([A], [row(1), *strangers_without_keys(2)], run=torn)
    assert expected not in said("nothing-unexpected", nobodys)[1]


def test_a_row_that_nobody_ordered_may_be_that_of_an_older_transaction() -> None:
    case = evidence([A, B], [*ROWS, *strangers(9)], before=BUSY)
    verdict, detail = said("nothing-unexpected", case)
    assert verdict is UNDECIDED
    assert detail.startswith("1 rows that nobody ordered: order 9; ")
    found = judge(evidence([A, B], [row(1), row(2)], before=BUSY)).findings
    assert [each.verdict for each in found.attempts] == ["confirmed", "possible"]
    assert found.committed_total is None


@pytest.mark.parametrize("name", ["conservation", "nothing-unexpected"])
def test_a_database_at_work_before_the_run_is_given_as_the_reason(name: str) -> None:
    case = evidence([A, B], ROWS, before=BUSY)
    assert said(name, case) == (UNDECIDED, "the database was at work during the first snapshot")
