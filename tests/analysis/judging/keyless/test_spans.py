"""When a row can have been created: bounds that hold however the clocks went."""

from dataclasses import replace

import pytest

from analysis.evidence.records import Attempt, OrderRow
from analysis.judging.clock import measure_clock
from tests.analysis.histories import (
    NOON,
    PRICES,
    SECOND,
    acknowledged,
    findings,
    indeterminate,
    rejected,
    row,
    verdicts,
)

HOUR = 3600 * SECOND
MS = 1000
# Literal times are rounder than real ones, and round times are taken for coarse ones.
ODD = 123_457


def told(number: int, at: int, *, ahead: int = 0, process_id: str = "p1") -> Attempt:
    """An order of another cell, sent at that time by its own clock, which is behind by `ahead`."""
    sent_at = NOON + at - ahead
    return acknowledged(
        f"told{number}",
        number,
        product_id=2,
        process_id=process_id,
        sent_at=sent_at,
        ended_at=sent_at + 4 * MS,
    )


def its_row(of: Attempt, *, ahead: int = 0) -> OrderRow:
    assert of.sent_at is not None
    assert of.order_id is not None
    created_at = of.sent_at + ahead + 2 * MS + of.order_id % 7
    return row(of.order_id, product_id=2, total=PRICES[2], created_at=created_at)


def opened(name: str, at: int, **changes: object) -> Attempt:
    sent_at = NOON + at
    return indeterminate(name, sent_at=sent_at, ended_at=sent_at + SECOND, **changes)


def clocked(*, ahead: int = 0) -> tuple[list[Attempt], list[OrderRow]]:
    """Orders that bound the offset of a clock, one each second."""
    orders = [told(10 + n, n * SECOND + ODD) for n in range(20)]
    return orders, [its_row(each, ahead=ahead) for each in orders]


def verdicts_of(
    opened_ones: list[Attempt],
    rows: list[OrderRow],
    clock: tuple[list[Attempt], list[OrderRow]],
    **how: object,
) -> dict[str, str]:
    attempts, clock_rows = clock
    names = {each.attempt_id for each in attempts}
    found = verdicts([*attempts, *opened_ones], [*clock_rows, *rows], **how)
    return {name: verdict for name, verdict in found.items() if name not in names}


def test_a_row_from_before_an_attempt_is_not_its() -> None:
    early, late = opened("early", 5 * SECOND), opened("late", 9 * SECOND)
    its = row(1, created_at=NOON + 6 * SECOND)
    assert verdicts_of([early, late], [its], clocked()) == {"early": "committed", "late": "absent"}


@pytest.mark.parametrize("ahead", [-2 * HOUR, HOUR], ids=["behind", "ahead"])
def test_a_database_in_another_time_zone_changes_nothing(ahead: int) -> None:
    early, late = opened("early", 5 * SECOND), opened("late", 9 * SECOND)
    its = row(1, created_at=NOON + 6 * SECOND + ahead)
    found = verdicts_of([early, late], [its], clocked(ahead=ahead))
    assert found == {"early": "committed", "late": "absent"}


def test_without_an_acknowledged_order_every_row_may_be_an_attempts() -> None:
    early, late = opened("early", 5 * SECOND), opened("late", 9 * SECOND)
    its = row(1, created_at=NOON - HOUR)
    assert verdicts([early, late], [its]) == {"early": "possible", "late": "possible"}


def test_a_load_generator_that_nobody_answered_has_no_known_clock() -> None:
    early, late = opened("early", 5 * SECOND), opened("late", 9 * SECOND, process_id="p2")
    its = row(1, created_at=NOON + 6 * SECOND)
    found = verdicts_of([early, late], [its], clocked())
    assert found == {"early": "possible", "late": "possible"}


def test_load_generators_have_clocks_of_their_own() -> None:
    ones, rows = clocked()
    others = [told(50 + n, n * SECOND + ODD, process_id="p2") for n in range(20)]
    other_rows = [its_row(each, ahead=HOUR) for each in others]
    clock = ([*ones, *others], [*rows, *other_rows])
    one, other = opened("one", 8 * SECOND), opened("other", 4 * SECOND, process_id="p2")
    its = row(1, created_at=NOON + 9 * SECOND)
    assert verdicts_of([one, other], [its], clock) == {"one": "committed", "other": "absent"}


def test_a_row_without_a_time_may_be_anyones() -> None:
    ones = [opened("a", 0), opened("b", 9 * SECOND)]
    found = verdicts_of(ones, [row(1, created_at=None)], clocked())
    assert found == {"a": "possible", "b": "possible"}


def test_an_attempt_of_unknown_time_may_have_made_any_row() -> None:
    unknown, late = opened("unknown", 0), opened("late", 9 * SECOND)
    ones = [replace(unknown, sent_at=None), late]
    its = row(1, created_at=NOON + SECOND)
    assert verdicts_of(ones, [its], clocked()) == {"unknown": "committed", "late": "absent"}


def test_an_attempt_that_followed_its_orders_row_has_not_made_it() -> None:
    first = acknowledged("first", 1, sent_at=NOON + SECOND, ended_at=NOON + 2 * SECOND)
    again = opened("again", 5 * SECOND, order_key=first.order_key)
    its = row(1, created_at=NOON + SECOND + ODD)
    found = verdicts_of([first, again], [its], clocked())
    assert found == {"first": "confirmed", "again": "absent"}


def test_an_order_told_by_a_retry_may_have_been_made_by_any_attempt_before() -> None:
    first = opened("first", ODD)
    sent_at = NOON + 10 * SECOND
    again = acknowledged(
        "again", 1, order_key=first.order_key, sent_at=sent_at, ended_at=sent_at + SECOND
    )
    clock = measure_clock(findings([first, again], [row(1, created_at=NOON + SECOND)]))
    assert clock.offset_s is not None
    assert clock.error_s is not None
    assert abs(clock.offset_s) <= clock.error_s


# --- clocks that do not keep still ---


def test_a_clock_that_is_set_back_takes_no_row_from_its_maker() -> None:
    before = [told(10 + n, n * SECOND + ODD) for n in range(20)]
    after = [told(40 + n, (20 + n) * SECOND + ODD) for n in range(20)]
    rows = [its_row(each) for each in before]
    rows += [its_row(each, ahead=-3 * SECOND) for each in after]
    maker, other = opened("maker", 25 * SECOND), opened("other", 35 * SECOND)
    its = row(1, created_at=NOON + 22 * SECOND + MS)  # a millisecond after it was sent
    found = verdicts_of([maker, other], [its], ([*before, *after], rows))
    assert found == {"maker": "committed", "other": "absent"}


def test_servers_that_do_not_agree_about_the_time_take_no_row_from_its_maker() -> None:
    orders = [told(10 + n, n * SECOND // 2 + ODD) for n in range(40)]
    rows = [
        its_row(each, ahead=-3 * SECOND * (number % 10 == 0)) for number, each in enumerate(orders)
    ]  # one in ten is written by a server that is behind
    maker, other = opened("maker", 10 * SECOND), opened("other", 15 * SECOND)
    its = row(1, created_at=NOON + 7 * SECOND + MS)
    found = verdicts_of([maker, other], [its], (orders, rows))
    assert found == {"maker": "committed", "other": "absent"}


def test_a_clock_that_drifts_while_nobody_is_answered_takes_no_row_from_its_maker() -> None:
    maker, other = opened("maker", 620 * SECOND), opened("other", 630 * SECOND)
    its = row(1, created_at=NOON + 620 * SECOND - 200 * MS)  # 0.2 s in ten minutes: 330 ppm
    found = verdicts_of([maker, other], [its], clocked())
    assert found == {"maker": "committed", "other": "absent"}


def test_a_time_kept_to_the_second_takes_no_row_from_its_maker() -> None:
    orders, rows = clocked()
    whole = [
        replace(each, created_at=round((each.created_at or 0) / SECOND) * SECOND) for each in rows
    ]
    maker, other = opened("maker", 5 * SECOND + 400 * MS), opened("other", 9 * SECOND)
    found = verdicts_of([maker, other], [row(1, created_at=NOON + 5 * SECOND)], (orders, whole))
    assert found == {"maker": "committed", "other": "absent"}


# --- the late window ---

FIRST, SECOND_ONE = opened("first", 0), opened("second", 2 * SECOND)  # they end 1 s later


@pytest.mark.parametrize(
    ("late_window_s", "expected"),
    [
        (None, {"first": "possible", "second": "possible"}),
        (10, {"first": "possible", "second": "possible"}),
        (7, {"first": "absent", "second": "committed"}),
        (1, {"first": "absent", "second": "absent", "row 1": "unexpected"}),
    ],
)
def test_a_late_window_rules_out_attempts_that_ended_too_long_before(
    late_window_s: float | None, expected: dict[str, str]
) -> None:
    its = row(1, created_at=NOON + 9 * SECOND)
    found = verdicts_of([FIRST, SECOND_ONE], [its], clocked(), late_window_s=late_window_s)
    assert found == expected


def test_no_row_is_too_late_for_an_attempt_that_was_never_seen_to_end() -> None:
    dead = replace(FIRST, ended_at=None, error="in_flight_at_stop", http_status=None)
    its = row(1, created_at=NOON + 19 * SECOND)
    found = verdicts_of([dead, SECOND_ONE], [its], clocked(), late_window_s=1)
    assert found == {"first": "committed", "second": "absent"}


def test_a_refusal_is_doubted_however_late_the_row_that_may_be_its() -> None:
    refused = rejected("refused", sent_at=NOON + SECOND, ended_at=NOON + SECOND + MS)
    orders, clock_rows = clocked()
    late = row(1, created_at=NOON + 19 * SECOND)
    found = findings([*orders, refused], [*clock_rows, late], late_window_s=1)
    assert found.doubtful_refusals == 1
    early = row(1, created_at=NOON - SECOND)
    assert findings([*orders, refused], [*clock_rows, early]).doubtful_refusals == 0


def test_rows_that_are_only_too_late_are_told_from_those_that_nobody_made() -> None:
    rows = [row(1, created_at=NOON + 19 * SECOND), row(2, created_at=NOON - 60 * SECOND)]
    orders, clock_rows = clocked()
    found = findings([*orders, FIRST], [*clock_rows, *rows], late_window_s=1)
    assert (found.nobodys_rows, found.late_rows, found.committed_total) == (2, 1, None)
