"""Money as shops store it: read to its last digit, and judged as exactly as it could be stored."""

from collections.abc import Callable
from decimal import ROUND_HALF_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.database.snapshot import take_after, take_before
from analysis.evidence.records import Product, RunVerdict
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ATTEMPTS, ORDERS, PRODUCTS
from analysis.judging.invariants import Case, arithmetic
from analysis.judging.row_owners import CENT, Prices, is_same_money
from analysis.verdict.judge_run import judge, load_evidence
from tests.analysis.database.test_reading import AT, execute

REAL, DOUBLE, EXACT = (
    {"total": kind, "price": kind} for kind in ("real", "double precision", "numeric")
)

ROUND = (ROUND_HALF_UP, ROUND_HALF_DOWN, ROUND_HALF_EVEN)


def stored(amount: float, kind: Callable[[float], np.floating]) -> Decimal:
    """The shortest decimal that reads back, as `real::text` has it."""
    return Decimal(np.format_float_positional(kind(amount), unique=True, trim="-"))


@given(cents=st.integers(1, 10**7), quantity=st.integers(1, 1000), works_in_double=st.booleans())
def test_honest_total_in_single_precision_is_never_another(
    cents: int, quantity: int, works_in_double: bool
) -> None:
    kept = np.float32(cents / 100)
    price = float(stored(float(kept), np.float32)) if works_in_double else kept
    product = price * quantity if works_in_double else kept * np.float32(quantity)
    prices = prices_of(stored(cents / 100, np.float32), REAL)
    expected = prices.total(1, quantity)
    assert expected is not None
    assert prices.may_be(stored(float(product), np.float32), expected)


@given(cents=st.integers(1, 10**12), quantity=st.integers(1, 10**5))
def test_honest_total_in_double_precision_is_never_another(cents: int, quantity: int) -> None:
    prices = prices_of(stored(cents / 100, np.float64), DOUBLE)
    expected = prices.total(1, quantity)
    assert expected is not None
    assert prices.may_be(stored(float(cents / 100) * quantity, np.float64), expected)


@given(mills=st.integers(1, 10**7), quantity=st.integers(1, 1000), rounding=st.sampled_from(ROUND))
def test_a_total_that_was_rounded_to_the_cent_is_no_other(
    mills: int, quantity: int, rounding: str
) -> None:
    price = Decimal(mills) / 1000  # finer than a total can be stored
    expected = prices_of(price, EXACT).total(1, quantity)
    assert is_same_money((price * quantity).quantize(CENT, rounding), expected)


@given(cents=st.integers(1, 10**5), quantity=st.integers(1, 9), off=st.integers(1, 10**4))
def test_a_total_that_is_cents_off_is_another_wherever_cents_can_be_stored(
    cents: int, quantity: int, off: int
) -> None:
    price = Decimal(cents) / 100
    wrong = price * quantity + Decimal(off) / 100
    for kinds in (EXACT, DOUBLE, *([REAL] if cents * quantity < 2**20 else [])):
        prices = prices_of(price, kinds)
        assert not prices.may_be(wrong, price * quantity)


def prices_of(price: Decimal, kinds: dict[str, str]) -> Prices:
    product = Product(id=1, name="Mug", price=price, stock_before=1, stock_after=1)
    return Prices.of([product], kinds)


# --- as PostgreSQL has it ---


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    made = RunDirectory.create(root=tmp_path, experiment="test", at=AT)
    made.update_run(started_at="2026-11-23T12:00:00Z")
    with made.new_table(ATTEMPTS):
        pass
    return made


def sold(
    directory: RunDirectory, url: str, kind: str, prices: list[str], totals: list[str]
) -> Case:
    """Take the snapshots of a shop with money of this type; one order of two pieces each."""
    execute(
        url,
        f"CREATE TABLE products (id int, name text, price {kind}, stock int)",
        f"CREATE TABLE orders (id int, product_id int, quantity int, total {kind})",
        *(
            f"INSERT INTO products VALUES ({number}, 'Mug', '{price}', 1)"
            for number, price in enumerate(prices)
        ),
    )
    take_before(directory, url, settle_limit_s=10)
    with psycopg.connect(url) as connection:
        for number, total in enumerate(totals):
            connection.execute(
                "INSERT INTO orders VALUES (%s, %s, 2, %s)", [number + 1, number, total]
            )
    take_after(directory, url, settle_limit_s=10)
    evidence = load_evidence(directory)
    return Case(evidence, judge(evidence).findings, evidence.orders or [])


@pytest.mark.lab
@pytest.mark.parametrize(
    ("kind", "prices", "totals"),
    [
        ("real", ["18518.55", "0.1", "19.99"], ["37037.1", "0.2", "39.98"]),
        ("double precision", ["18518.55", "1234567890.12"], ["37037.1", "2469135780.24"]),
        (
            "numeric",
            ["18518.55", "12345678901234567890.125"],
            ["37037.10", "24691357802469135780.25"],
        ),
        ("money", ["18518.55", "-1.5"], ["37037.10", "-3.00"]),
        ("integer", ["1999", "0"], ["3998", "0"]),
        ("bigint", ["9007199254740993", "1"], ["18014398509481986", "2"]),
    ],
)
def test_money_is_exactly_what_is_stored_in_every_type(
    database_url: str, directory: RunDirectory, kind: str, prices: list[str], totals: list[str]
) -> None:
    case = sold(directory, database_url, kind, prices, totals)
    assert [each.total for each in directory.read_table(ORDERS)] == [*map(Decimal, totals)]
    assert [each.price for each in directory.read_table(PRODUCTS)] == [*map(Decimal, prices)]
    assert arithmetic(case).broken == ""
    assert arithmetic(case).doubts == ()


@pytest.mark.lab
def test_what_a_column_rounds_is_a_doubt_and_what_it_does_not_is_broken(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, "ALTER DATABASE test SET extra_float_digits = 0")
    # To a `real`, the first total is the nearest that there is.
    case = sold(directory, database_url, "real", ["617283.945", "10"], ["1234567.89", "20.01"])
    found = arithmetic(case)
    assert found.broken == "1 totals are wrong: order 2: 20.01 instead of 20"
    (doubt,) = found.doubts
    assert doubt.startswith("1 totals are off by what their type rounds: order 1: 1234567.9 ")


@pytest.mark.lab
@pytest.mark.parametrize("kind", ["numeric", "double precision", "real"])
def test_money_that_is_no_number_is_unknown_and_never_held(
    database_url: str, directory: RunDirectory, kind: str
) -> None:
    prices, totals = ["NaN", "Infinity", "1"], ["2", "2", "NaN"]
    case = sold(directory, database_url, kind, prices, totals)
    assert [each.price for each in directory.read_table(PRODUCTS)] == [None, None, 1]
    assert [each.total for each in directory.read_table(ORDERS)] == [2, 2, None]
    assert arithmetic(case).broken == "1 totals are wrong: order 3: None instead of 2"
    assert "price is unknown" in arithmetic(case).doubts[0]
    assert judge(case.evidence).verdict is RunVerdict.BROKEN
