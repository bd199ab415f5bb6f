"""What looks certain and is not: each was a wrong `committed`, `absent` or `broken` once."""

from dataclasses import replace
from typing import Any

import pytest

from analysis.evidence.records import Attempt, OrderRow, RunVerdict, Verdict
from analysis.judging.finding_records import Method
from tests.analysis.histories import (
    NOON,
    PRICES,
    SECOND,
    acknowledged,
    evidence,
    findings,
    indeterminate,
    invariants_of,
    placed_before,
    row,
    verdicts,
)

MINUTE = 60 * SECOND


# --- keys that are not ours ---


def _keyed(one: OrderRow, field: str) -> OrderRow:
    changes: dict[str, Any] = {field: f"strange-{one.id}"}
    return replace(one, **changes)


@pytest.mark.parametrize("field", ["order_key", "attempt_id"])
def test_a_row_with_a_key_that_nobody_of_the_run_sent_may_be_a_strangers(field: str) -> None:
    silent = indeterminate("a")
    found = findings([silent], [_keyed(row(5), field)])
    assert [each.verdict for each in found.attempts] == [Verdict.POSSIBLE]
    assert found.committed_total is None


@pytest.mark.parametrize("field", ["order_key", "attempt_id"])
def test_one_strange_key_among_rows_that_bear_none_leaves_them_all_in_doubt(field: str) -> None:
    silent = [indeterminate("a"), indeterminate("b")]
    found = findings(silent, [_keyed(row(5), field), row(6)])
    assert [each.verdict for each in found.attempts] == [Verdict.POSSIBLE, Verdict.POSSIBLE]
    assert found.committed_total is None


@pytest.mark.parametrize("field", ["order_key", "attempt_id"])
def test_where_the_rows_of_our_own_orders_bear_keys_as_strange_all_may_be_ours(field: str) -> None:
    (told, its), silent = placed_before("told", 4), indeterminate("a")
    rows = [_keyed(each, field) for each in (its, row(5))]
    assert verdicts([told, silent], rows) == {"told": "confirmed", "a": "committed"}


def test_keys_that_are_not_to_be_looked_at_leave_no_doubt() -> None:
    strange = row(5, order_key="strange")
    assert verdicts([indeterminate("a")], [strange], method=Method.INFERRED) == {"a": "committed"}


# --- times that are kept coarsely ---


def _told(number: int, at: int) -> Attempt:
    return acknowledged(
        f"told{number}", number, product_id=2, sent_at=at, ended_at=at + SECOND // 10
    )


def _kept(number: int, at: int, grain: int, **changes: Any) -> OrderRow:
    return row(number, created_at=at // grain * grain, **changes)


@pytest.mark.parametrize("zone", [0, 3600 * SECOND, 5 * 3600 * SECOND + 1800 * SECOND], ids=str)
@pytest.mark.parametrize("grain", [MINUTE, 60 * MINUTE, 24 * 60 * MINUTE], ids=str)
@pytest.mark.parametrize("orders", [1, 5])
def test_a_time_kept_to_the_minute_hour_or_day_takes_no_row_from_its_maker(
    grain: int, zone: int, orders: int
) -> None:
    began = NOON + 7_123_457
    times = [began + number * 9 * SECOND for number in range(orders)]
    told = [_told(number, at) for number, at in enumerate(times)]
    clock = [
        _kept(number, at + zone + 2000, grain, product_id=2, total=PRICES[2])
        for number, at in enumerate(times)
    ]
    maker = indeterminate("maker", sent_at=began + 200 * SECOND, ended_at=began + 201 * SECOND)
    its = _kept(99, began + 200 * SECOND + zone + 3000, grain)
    assert verdicts([*told, maker], [*clock, its])["maker"] == "committed"


# --- attempts that a ledger lacks ---


def test_a_retry_told_of_the_row_of_an_attempt_that_is_missing_shows_no_clock() -> None:
    """The row is older than the only attempt known at its order; that is no clock set back."""
    retry = acknowledged(
        "retry", 1, product_id=2, sent_at=NOON + 40 * SECOND, ended_at=NOON + 41 * SECOND
    )
    its = row(1, product_id=2, total=PRICES[2], created_at=NOON + 1_234_567)
    maker = indeterminate("maker", sent_at=NOON + 42 * SECOND, ended_at=NOON + 43 * SECOND)
    made = row(2, created_at=NOON + 42_765_432)
    found = verdicts(
        [retry, maker],
        [its, made],
        is_whole=False,
        late_window_s=5,
        may_lack_attempts_of=lambda _process_id: True,
    )
    assert found["maker"] == "possible"


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_retry_told_of_the_row_of_an_attempt_that_is_missing_is_not_altered(
    is_whole: bool,
) -> None:
    """The row bears its maker's id and no order key, and that attempt may have been a first try."""
    other, retry = acknowledged("other", 4), acknowledged("retry", 5)
    missing = indeterminate("missing", order_key=retry.order_key)
    ids_alone = [replace(row(4, other), order_key=""), replace(row(5, missing), order_key="")]
    found = verdicts(
        [other, retry],
        ids_alone,
        is_whole=is_whole,
        may_lack_attempts_of=lambda _process_id: not is_whole,
    )
    assert found["retry"] == ("altered" if is_whole else "possible")
    assert found["other"] == "confirmed"


MISSING = indeterminate("missing", order_key="order-retry")


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"attempt_id": "other", "order_key": ""}, "lost"),
        ({"order_key": "order-other"}, "lost"),
        ({"order_key": "strange"}, "lost"),
        ({"order_key": "", "quantity": 2}, "altered"),  # by whom it was made is not known
    ],
    ids=str,
)
def test_a_retry_told_of_a_row_that_cannot_be_its_orders_is_wronged_though_attempts_are_missing(
    change: dict[str, Any], verdict: str
) -> None:
    other, retry = acknowledged("other", 4), acknowledged("retry", 5)
    rows = [row(4, other), replace(row(5, MISSING), **change)]
    flawed: dict[str, Any] = {"is_whole": False, "may_lack_attempts_of": lambda _process_id: True}
    assert verdicts([other, retry], rows, **flawed)["retry"] == verdict


def test_of_two_rows_with_the_id_that_a_retry_was_told_only_one_that_fits_may_be_its() -> None:
    other, retry = acknowledged("other", 4), acknowledged("retry", 5)
    fits = replace(row(5, MISSING), order_key="")
    rows = [row(4, other), replace(fits, quantity=2), fits]
    found = findings([other, retry], rows, may_lack_attempts_of=lambda _process_id: True)
    (its,) = [each for each in found.attempts if each.attempt is retry]
    assert (its.verdict, its.candidates, its.row) == (Verdict.POSSIBLE, 1, fits)


# --- rows that were not read ---


@pytest.mark.parametrize("unseen_up_to", [0, -5])
def test_an_order_that_no_reply_named_may_be_among_rows_that_were_not_read(
    unseen_up_to: int,
) -> None:
    nameless = acknowledged("nameless", None)
    assert verdicts([nameless], [], unseen_up_to=unseen_up_to) == {"nameless": "possible"}
    assert verdicts([nameless], []) == {"nameless": "lost"}


def test_of_rows_that_were_not_read_the_number_is_not_told() -> None:
    (told, its), silent = placed_before("told", 501), indeterminate("a")
    rows = [its, row(502)]
    assert findings([told, silent], rows).committed_total == 1
    assert findings([told, silent], rows, unseen_up_to=500).committed_total is None


# --- attempt ids that occur twice ---


def test_an_attempt_id_that_two_orders_share_accuses_nobody() -> None:
    one = indeterminate("a")
    other = acknowledged("a", 6, order_key="order-b")
    case = evidence([one, other], [row(5, one), row(6, other)])
    assert RunVerdict.BROKEN not in invariants_of(case).values()
    assert RunVerdict.HELD not in invariants_of(case).values()


# --- replies that name no row, or one that was not read ---


def test_a_reply_without_an_id_is_not_lost_where_another_reply_named_its_orders_row() -> None:
    first = acknowledged("first", None, order_key="o", ended_at=NOON + SECOND)
    again = acknowledged("again", 5, order_key="o", sent_at=NOON + 2 * SECOND)
    found = findings([first, again], [row(5)])
    assert [each.verdict for each in found.attempts] == [Verdict.POSSIBLE, Verdict.CONFIRMED]
    assert [each.candidates for each in found.attempts] == [1, 1]
    case = evidence([first, again], [row(5)])
    assert invariants_of(case)["durability"] is RunVerdict.UNDECIDED
    with_another = findings([first, again, indeterminate("x")], [row(5), row(6)])
    assert with_another.attempts[0].candidates == 2


def test_an_order_told_by_an_id_that_was_not_read_is_not_altered_for_being_sold_again() -> None:
    told = acknowledged("told", 400)
    again = indeterminate("again", order_key=told.order_key, sent_at=NOON + 5 * SECOND)
    found = verdicts([told, again], [row(501, again)], unseen_up_to=500)
    assert found == {"told": "possible", "again": "committed"}
    assert verdicts([told, again], [row(501, again)])["told"] == "altered"


def test_an_order_whose_id_no_row_has_is_lost_though_a_row_like_it_is_there() -> None:
    told, lost, silent = acknowledged("told", 4), acknowledged("lost", 99), indeterminate("x")
    found = verdicts([told, lost, silent], [row(4), row(5)])
    assert found == {"told": "confirmed", "lost": "lost", "x": "possible"}


# --- rows of which only the order is known ---


def test_an_attempt_sent_after_its_orders_row_was_made_is_absent_in_a_shop_of_keys_too() -> None:
    """Whether it was hung on whether the table had another row without a key."""
    keyed = acknowledged("keyed", 4)
    first = acknowledged("first", 5, order_key="o")
    again = indeterminate(
        "again", order_key="o", sent_at=NOON + 9 * SECOND, ended_at=NOON + 10 * SECOND
    )
    rows = [row(4, keyed, created_at=NOON + 123_457), row(5, created_at=NOON + SECOND // 2)]
    assert verdicts([keyed, first, again], rows)["again"] == "absent"
    early = replace(again, sent_at=NOON)
    assert verdicts([keyed, first, early], rows)["again"] == "possible"


def test_a_row_that_fits_any_attempt_at_its_order_is_not_wrong() -> None:
    told = acknowledged("told", 4)
    tries = [
        indeterminate(
            f"try{pieces}", order_key="o", quantity=pieces, sent_at=NOON + pieces * SECOND
        )
        for pieces in (1, 2)
    ]
    for pieces, wrong_rows in ((1, 0), (2, 0), (3, 1)):
        its = row(5, tries[0], attempt_id="", quantity=pieces, total=PRICES[1] * pieces)
        assert findings([told, *tries], [row(4, told), its]).wrong_rows == wrong_rows


def test_a_wrong_row_breaks_fidelity_though_it_is_open_which_attempt_made_it() -> None:
    """It was held once: only rows of a known maker were compared with what was sent."""
    told = acknowledged("told", 4)
    tries = [
        indeterminate(f"try{n}", order_key="o", sent_at=NOON + n * 5 * SECOND) for n in range(3)
    ]
    wrong = row(5, tries[0], attempt_id="", quantity=2, total=PRICES[1] * 2)
    case = evidence([told, *tries], [row(4, told), wrong])
    assert invariants_of(case)["fidelity"] is RunVerdict.BROKEN
    assert findings([told, *tries], [row(4, told), wrong]).wrong_rows == 1
    right = row(5, tries[0], attempt_id="")
    assert findings([told, *tries], [row(4, told), right]).wrong_rows == 0
