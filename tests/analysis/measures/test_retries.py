"""What trying again sold twice, and what keys kept from being sold twice."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.records import Attempt, OrderRow
from analysis.measures.retries import Retries, measure_retries
from tests.analysis.histories import acknowledged, findings, indeterminate, row


def retries_of(attempts: list[Attempt], rows: list[OrderRow]) -> Retries | None:
    return measure_retries(findings(attempts, rows).attempts)


def test_without_a_retry_there_is_nothing_to_tell() -> None:
    a = acknowledged("a", 1)
    assert retries_of([a], [row(1, a)]) is None


def test_blind_retry_of_a_committed_order_sells_twice() -> None:
    first = indeterminate("a")
    again = acknowledged("b", 2, attempt_no=2, retry_of="a")
    found = retries_of([first, again], [row(1, first), row(2, again)])
    assert found is not None
    assert (found.sold_twice.orders, found.sold_twice.pieces) == (1, 1)
    assert found.sold_twice.value == Decimal("19.99")
    assert found.saved.orders == 0


def test_keyed_retry_of_a_committed_order_finds_it() -> None:
    first = indeterminate("a", order_key="k")
    again = acknowledged("b", 1, order_key="k", attempt_no=2, retry_of="a")
    found = retries_of([first, again], [row(1, first)])
    assert found is not None
    assert found.sold_twice.orders == 0
    assert (found.saved.orders, found.saved.value) == (1, Decimal("19.99"))


def test_retry_of_what_never_happened_neither_sells_twice_nor_saves() -> None:
    first = indeterminate("a", order_key="k")
    again = acknowledged("b", 1, order_key="k", attempt_no=2, retry_of="a")
    found = retries_of([first, again], [row(1, again)])
    assert found is not None
    assert (found.wants, found.attempts) == (1, 1)
    assert (found.sold_twice.orders, found.saved.orders) == (0, 0)


def test_three_blind_rows_of_one_want_are_two_too_many() -> None:
    attempts = [
        indeterminate("a"),
        indeterminate("b", attempt_no=2, retry_of="a"),
        acknowledged("c", 3, attempt_no=3, retry_of="b"),
    ]
    rows = [row(number, each) for number, each in enumerate(attempts, 1)]
    found = retries_of(attempts, rows)
    assert found is not None
    assert (found.wants, found.attempts, found.sold_twice.orders) == (1, 2, 2)


def test_attempts_that_name_each_other_end_nowhere_and_crash_nothing() -> None:
    found = retries_of(
        [indeterminate("a", retry_of="b"), indeterminate("b", attempt_no=2, retry_of="a")], []
    )
    assert found is not None
    assert found.wants == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=12))
def test_nothing_is_sold_twice_that_is_not_in_the_table(wants: list[tuple[bool, int]]) -> None:
    attempts: list[Attempt] = []
    rows: list[OrderRow] = []
    surplus = 0
    for number, (has_committed, times) in enumerate(wants):
        earlier = ""
        made = 0
        for time in range(times + 1):
            name = f"{number}-{time}"
            attempts.append(indeterminate(name, attempt_no=time + 1, retry_of=earlier))
            earlier = name
            if has_committed:
                rows.append(row(len(rows) + 1, attempts[-1]))
                made += 1
        surplus += max(0, made - 1)
    found = retries_of(attempts, rows)
    assert (found.sold_twice.orders if found else 0) == surplus
