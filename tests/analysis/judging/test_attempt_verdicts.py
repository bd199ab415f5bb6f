"""Every cell of the table of outcomes by verdicts, and the cases between the cells."""

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.errors import UsageError
from analysis.evidence.records import Attempt, OrderRow, Outcome, RunVerdict, Verdict
from analysis.judging.finding_records import Basis, Method
from analysis.verdict.judge_run import judge
from analysis.verdict.stories import tell
from tests.analysis.histories import (
    NOON,
    PRICES,
    SECOND,
    acknowledged,
    attempt,
    evidence,
    findings,
    indeterminate,
    invariants_of,
    placed_before,
    rejected,
    row,
    unsent,
    verdicts,
)

# A pair that shows that this shop stores keys.
KEYED = acknowledged("keyed", 1)
KEYED_ROW = row(1, KEYED)


def judged(attempts: list[Attempt], rows: list[OrderRow], **how: Any) -> dict[str, str]:
    """Verdicts in a shop that stores keys."""
    found = verdicts([KEYED, *attempts], [KEYED_ROW, *rows], **how)
    assert found.pop("keyed") == "confirmed"
    return found


# --- acknowledged ---


def test_acknowledged_order_with_its_row_is_confirmed() -> None:
    a = acknowledged("a", 5)
    assert judged([a], [row(5, a)]) == {"a": "confirmed"}


def test_acknowledged_order_without_a_row_is_lost() -> None:
    assert judged([acknowledged("a", 5)], []) == {"a": "lost"}


def test_acknowledged_order_without_a_row_is_lost_even_if_no_row_is_left_at_all() -> None:
    assert verdicts([acknowledged("a", 5)], []) == {"a": "lost"}


@pytest.mark.parametrize(
    "change",
    [{"product_id": 2}, {"quantity": 2}, {"total": Decimal("19.98")}, {"quantity": None}],
    ids=str,
)
def test_acknowledged_order_whose_row_differs_is_altered(change: dict[str, object]) -> None:
    a = acknowledged("a", 5)
    assert judged([a], [row(5, a, **change)]) == {"a": "altered"}


def test_total_that_is_a_float_of_the_same_cents_is_not_altered() -> None:
    a = acknowledged("a", 5, quantity=3)
    assert judged([a], [row(5, a, total=Decimal("59.97000000000001"))]) == {"a": "confirmed"}


def test_order_whose_id_was_given_to_another_is_lost() -> None:
    """As after a crash that took rows and the sequence with it."""
    a, b = acknowledged("a", 5), acknowledged("b", 5, product_id=2)
    found = findings([a, b], [row(5, b)])
    assert [each.verdict for each in found.attempts] == ["lost", "confirmed"]
    assert found.attempts[0].row == row(5, b)  # to say whose id it is now
    assert found.attempts[0].own_row is None
    said = [each.said for each in tell(found.attempts[0], None)]
    assert "order 5 is in the table, and is another order's: its id was given to that one" in said
    case = evidence([a, b], [row(5, b)])
    durability = judge(case).invariants[0]
    assert durability.verdict is RunVerdict.BROKEN
    assert durability.detail == (
        "1 of 2 acknowledged are not in the table (the ids of 1 are other orders': order 5)"
    )
    assert invariants_of(case)["fidelity"] is RunVerdict.HELD


def test_order_whose_id_an_unanswered_order_has_is_lost() -> None:
    a, b = acknowledged("a", 5), indeterminate("b")
    assert judged([a, b], [row(5, b)]) == {"a": "lost", "b": "committed"}


def test_order_whose_id_a_strangers_row_has_is_lost_and_that_row_unexpected() -> None:
    a, b = acknowledged("a", 5), acknowledged("b", 4)
    theirs = row(5, attempt("x", Outcome.INDETERMINATE))
    found = judged([a, b], [row(4, b), theirs])
    assert found == {"a": "lost", "b": "confirmed", "row 5": "unexpected"}


def test_order_told_anothers_id_is_altered_where_its_own_row_is_there() -> None:
    a, b = acknowledged("a", 5), acknowledged("b", 5)
    found = judged([a, b], [row(5, b), row(6, a)])
    assert found == {"a": "altered", "b": "confirmed"}


def test_order_whose_id_was_given_to_another_is_not_lost_for_certain_if_rows_were_not_read() -> (
    None
):
    a, b = acknowledged("a", 5), acknowledged("b", 5)
    assert judged([a, b], [row(5, b)], unseen_up_to=0) == {"a": "altered", "b": "confirmed"}


def test_reply_that_names_a_row_with_a_strange_order_key_is_altered() -> None:
    a = acknowledged("a", 5)
    assert judged([a], [row(5, a, order_key="strange")]) == {"a": "altered"}


def test_order_that_exists_under_another_id_than_its_customer_was_told_is_altered() -> None:
    a = acknowledged("a", 99)
    assert judged([a], [row(5, a)]) == {"a": "altered"}


def test_order_told_by_an_id_from_before_the_run_is_lost() -> None:
    a = acknowledged("a", -3)
    assert judged([a], []) == {"a": "lost"}


def test_reply_without_an_order_id_is_confirmed_by_key() -> None:
    a = acknowledged("a", None)
    assert judged([a], [row(5, a)]) == {"a": "confirmed"}
    assert judged([a], []) == {"a": "lost"}


def test_of_two_orders_told_one_keyless_row_only_the_first_told_is_confirmed() -> None:
    first = acknowledged("a", 5, ended_at=NOON + SECOND)
    later = acknowledged("b", 5, ended_at=NOON + 2 * SECOND)
    assert verdicts([later, first], [row(5)]) == {"a": "confirmed", "b": "lost"}


def test_of_two_orders_told_one_keyless_row_the_one_that_fits_is_confirmed() -> None:
    first = acknowledged("a", 5, ended_at=NOON + SECOND, quantity=2)
    later = acknowledged("b", 5, ended_at=NOON + 2 * SECOND)
    assert verdicts([first, later], [row(5)]) == {"a": "lost", "b": "confirmed"}
    # Unless a row that no reply names may be its: then it was told another's id.
    its = row(6, quantity=2, total=2 * PRICES[1])
    assert verdicts([first, later], [row(5), its]) == {"a": "altered", "b": "confirmed"}


# --- retries ---


def retry_of(first: Attempt, again: Attempt) -> Attempt:
    """The same order once more, after the first attempt."""
    return replace(
        again,
        order_key=first.order_key,
        attempt_no=2,
        sent_at=NOON + 2 * SECOND,
        ended_at=NOON + 3 * SECOND,
    )


def test_retry_answered_with_the_row_of_the_first_attempt_is_confirmed() -> None:
    first = indeterminate("a1")
    again = retry_of(first, acknowledged("a2", 5))
    assert judged([first, again], [row(5, first)]) == {"a1": "committed", "a2": "confirmed"}


def test_retry_that_made_the_row_leaves_the_first_attempt_absent() -> None:
    first = indeterminate("a1")
    again = retry_of(first, acknowledged("a2", 5))
    assert judged([first, again], [row(5, again)]) == {"a1": "absent", "a2": "confirmed"}


def test_retry_that_is_refused_since_the_first_committed_is_clean() -> None:
    first = indeterminate("a1")
    again = retry_of(first, rejected("a2"))
    assert judged([first, again], [row(5, first)]) == {"a1": "committed", "a2": "clean"}


def test_retry_that_is_sold_a_second_time_is_a_duplicate() -> None:
    first = indeterminate("a1")
    again = retry_of(first, acknowledged("a2", 6))
    expected = {"a1": "committed", "a2": "confirmed", "row 6": "duplicate"}
    assert judged([first, again], [row(5, first), row(6, again)]) == expected


def test_retry_sold_a_second_time_without_keys_is_a_duplicate_where_both_were_acknowledged() -> (
    None
):
    first = acknowledged("a1", 5)
    again = retry_of(first, acknowledged("a2", 6))
    expected = {"a1": "confirmed", "a2": "confirmed", "row 6": "duplicate"}
    assert verdicts([first, again], [row(5), row(6)]) == expected


def test_row_with_only_the_order_key_is_the_sole_attempts() -> None:
    a = indeterminate("a")
    assert judged([a], [row(5, a, attempt_id="")]) == {"a": "committed"}


def test_row_with_only_the_order_key_may_be_any_of_two_open_attempts() -> None:
    first = indeterminate("a1")
    again = retry_of(first, indeterminate("a2"))
    keyed_by_order = row(5, first, attempt_id="")
    assert judged([first, again], [keyed_by_order]) == {"a1": "possible", "a2": "possible"}


def test_row_with_only_the_order_key_leaves_it_open_whether_a_refused_retry_made_it() -> None:
    first = indeterminate("a1")
    again = retry_of(first, rejected("a2"))
    found = findings([first, again], [row(5, first, attempt_id="")])
    assert found.doubtful_refusals == 1
    assert found.count(Verdict.POSSIBLE) == 1


# --- rejected and unsent ---


@pytest.mark.parametrize("refused", [rejected("a"), unsent("a")], ids=["rejected", "unsent"])
def test_refused_attempt_without_a_row_is_clean(refused: Attempt) -> None:
    assert judged([refused], []) == {"a": "clean"}


@pytest.mark.parametrize("refused", [rejected("a"), unsent("a")], ids=["rejected", "unsent"])
def test_refused_attempt_with_a_row_is_contradicted(refused: Attempt) -> None:
    assert judged([refused], [row(5, refused)]) == {"a": "contradicted"}


def test_refused_order_with_a_row_under_its_order_key_is_contradicted() -> None:
    first = rejected("a1")
    again = retry_of(first, unsent("a2"))
    found = judged([first, again], [row(5, first, attempt_id="")])
    assert found == {"a1": "contradicted", "a2": "contradicted"}


# --- indeterminate ---


def test_indeterminate_attempt_with_a_row_is_committed() -> None:
    a = indeterminate("a")
    assert judged([a], [row(5, a)]) == {"a": "committed"}


def test_indeterminate_attempt_without_a_row_is_absent() -> None:
    assert judged([indeterminate("a")], []) == {"a": "absent"}


def test_indeterminate_attempt_without_a_row_is_possible_while_the_database_is_at_work() -> None:
    found = verdicts([KEYED, indeterminate("a")], [KEYED_ROW], settled=False)
    assert found == {"keyed": "confirmed", "a": "possible"}


def test_indeterminate_attempt_is_possible_where_a_keyless_row_may_be_its() -> None:
    assert judged([indeterminate("a")], [row(5)]) == {"a": "possible"}


def test_keyless_row_of_another_product_is_not_its() -> None:
    found = judged([indeterminate("a")], [row(5, product_id=2)])
    assert found == {"a": "absent", "row 5": "unexpected"}


def test_row_of_its_order_by_an_attempt_nobody_sent_leaves_it_possible() -> None:
    a = indeterminate("a")
    found = judged([a], [row(5, a, attempt_id="stranger")])
    assert found == {"a": "possible", "row 5": "unexpected"}


def test_wrong_row_of_an_unanswered_order_is_counted() -> None:
    a = indeterminate("a")
    assert findings([a], [row(5, a, product_id=2)]).wrong_rows == 1
    assert findings([a], [row(5, a)]).wrong_rows == 0


# --- rows ---


def test_row_of_an_unknown_key_is_unexpected() -> None:
    stranger = indeterminate("stranger")
    assert judged([], [row(5, stranger)]) == {"row 5": "unexpected"}


def test_row_without_a_key_is_unexpected_when_no_attempt_is_open() -> None:
    assert judged([rejected("a", product_id=2)], [row(5)]) == {
        "a": "clean",
        "row 5": "unexpected",
    }


@pytest.mark.parametrize("make", [acknowledged, indeterminate], ids=["acknowledged", "open"])
@pytest.mark.parametrize("number", [5, 6], ids=["same id", "new id"])
def test_copied_row_is_a_duplicate(make: object, number: int) -> None:
    a = acknowledged("a", 5) if make is acknowledged else indeterminate("a")
    assert judged([a], [row(5, a), row(number, a)])[f"row {number}"] == "duplicate"


def test_row_of_one_order_key_by_two_strangers_is_not_confirmed_for_anyone() -> None:
    a = acknowledged("a", 5)
    found = judged([a], [row(5, a), row(6, a, attempt_id="stranger")])
    assert found == {"a": "confirmed", "row 6": "unexpected"}


# --- money, methods, sums ---


def test_orders_whose_customers_were_not_told_are_counted_in_pieces_and_money() -> None:
    a, b = indeterminate("a", quantity=2), indeterminate("b", product_id=2, quantity=3)
    told = acknowledged("c", 7)
    hidden = findings([a, b, told], [row(5, a), row(6, b), row(7, told)]).unacknowledged
    assert hidden is not None
    assert (hidden.count, hidden.pieces, hidden.value) == (2, 5, Decimal("54.98"))


def test_order_told_by_a_retry_is_not_counted_as_unacknowledged() -> None:
    first = indeterminate("a1")
    again = retry_of(first, acknowledged("a2", 5))
    hidden = findings([first, again], [row(5, first)]).unacknowledged
    assert hidden is not None
    assert hidden.count == 0


def test_without_keys_acknowledged_orders_are_judged_by_id_and_the_rest_is_inferred() -> None:
    (told, its), open_one = placed_before("a", 5), indeterminate("b")
    found = findings([told, open_one], [its, row(6)])
    assert found.method is Method.INFERRED
    assert [each.verdict for each in found.attempts] == ["confirmed", "committed"]
    assert [each.evidence for each in found.attempts] == [Basis.ORDER_ID, Basis.INFERRED]
    assert [each.candidates for each in found.attempts] == [1, 1]
    assert found.attempts[1].row == row(6)
    assert (found.ownerless_rows, found.committed_total) == (1, 1)


def test_without_keys_an_attempt_that_no_row_fits_is_absent() -> None:
    told, open_one = acknowledged("a", 5), indeterminate("b", product_id=2)
    assert verdicts([told, open_one], [row(5)]) == {"a": "confirmed", "b": "absent"}


def test_without_keys_rows_beyond_the_open_attempts_are_unexpected() -> None:
    found = verdicts([indeterminate("b")], [row(6), row(5)])
    assert found == {"b": "possible", "row 6": "unexpected"}


def test_a_row_that_nobody_can_have_made_leaves_all_others_open_too() -> None:
    told, its = placed_before("a", 5)
    b, c = indeterminate("b"), indeterminate("c", product_id=2)
    rows = [its, row(6)]
    assert verdicts([told, b, c], rows) == {"a": "confirmed", "b": "committed", "c": "absent"}
    strange = row(7, quantity=9)
    found = findings([told, b, c], [*rows, strange])
    assert [each.verdict for each in found.attempts] == ["confirmed", "possible", "absent"]
    assert (found.nobodys_rows, found.committed_total) == (1, None)


def test_where_rows_differ_from_their_orders_product_and_quantity_prove_nothing() -> None:
    told, b, c = acknowledged("a", 5), indeterminate("b"), indeterminate("c", product_id=2)
    altered = row(5, quantity=2)
    found = verdicts([told, b, c], [altered, row(6)])
    assert found == {"a": "altered", "b": "possible", "c": "possible"}
    assert verdicts([told, b, c], [altered]) == {"a": "altered", "b": "absent", "c": "absent"}


def test_where_only_a_total_is_wrong_product_and_quantity_still_tell() -> None:
    told, b = acknowledged("a", 5), indeterminate("b", product_id=2)
    rows = [row(5, total=Decimal("19.98")), row(6, product_id=2, total=Decimal("5.00"))]
    assert verdicts([told, b], rows) == {"a": "altered", "b": "committed"}


def test_a_keyless_row_of_an_order_that_was_told_by_a_retry_is_no_hidden_order() -> None:
    first = indeterminate("a1")
    at = NOON + 60 * SECOND
    again = replace(retry_of(first, acknowledged("a2", 6)), sent_at=at, ended_at=at + SECOND)
    found = findings([first, again], [row(5), row(6, created_at=at + SECOND // 2)])
    assert [each.verdict for each in found.attempts] == ["committed", "confirmed"]
    assert found.unacknowledged is not None
    assert found.unacknowledged.count == 0


def test_keyless_row_named_by_a_wrong_reply_may_still_be_an_open_attempts() -> None:
    wrong, open_one = acknowledged("a", 5, quantity=2), indeterminate("b")
    assert verdicts([wrong, open_one], [row(5)]) == {"a": "altered", "b": "possible"}


def test_asking_for_keys_where_no_row_bears_one_is_an_error() -> None:
    with pytest.raises(UsageError, match="--method auto"):
        findings([acknowledged("a", 5)], [row(5)], method=Method.KEY)


def test_keys_are_ignored_when_judging_without_them() -> None:
    a = indeterminate("a")
    b = indeterminate("b")
    found = findings([a, b], [row(5, a)], method=Method.INFERRED)
    assert [each.verdict for each in found.attempts] == ["possible", "possible"]


def test_ids_that_the_load_balancer_put_in_place_of_ours_are_no_keys() -> None:
    a = acknowledged("a", 5)
    found = findings([a], [row(5, a, order_key="", attempt_id="envoy-1")])
    assert found.method is Method.INFERRED
    assert found.attempts[0].evidence is Basis.ORDER_ID
    assert found.count(Verdict.CONFIRMED) == 1


def test_order_keys_speak_where_a_proxy_put_its_own_ids_in_place_of_all_of_ours() -> None:
    told, open_one, refused = acknowledged("a", 5), indeterminate("b"), rejected("c")
    rows = [row(5, told, attempt_id="nginx-1"), row(6, open_one, attempt_id="nginx-2")]
    found = verdicts([told, open_one, refused], rows)
    assert found == {"a": "confirmed", "b": "committed", "c": "clean"}
    copied = row(7, open_one, attempt_id="nginx-3")
    assert verdicts([told, open_one], [*rows, copied])["row 7"] == "duplicate"


# --- random histories with a known truth ---


@st.composite
def true_histories(draw: st.DrawFn) -> tuple[list[Attempt], list[OrderRow], dict[str, bool]]:
    """Attempts and rows of an honest keyed shop, and for each attempt whether it made a row.

    Each order is tried up to three times; the first attempt that arrives makes its row, and any
    later one that is answered is told of that row.
    """
    attempts: list[Attempt] = []
    rows: list[OrderRow] = []
    made: dict[str, bool] = {}
    for order in range(draw(st.integers(1, 8))):
        key = f"o{order}"
        product_id, quantity = draw(st.sampled_from([1, 2])), draw(st.integers(1, 3))
        order_id: int | None = None
        for number in range(draw(st.integers(1, 3))):
            fate = draw(st.sampled_from(["answered", "silent", "never arrives", "refused"]))
            name = f"{key}-{number}"
            arrives = fate in ("answered", "silent")
            outcome = {
                "answered": Outcome.ACKNOWLEDGED,
                "refused": draw(st.sampled_from([Outcome.REJECTED, Outcome.UNSENT])),
            }.get(fate, Outcome.INDETERMINATE)
            made[name] = arrives and order_id is None
            if made[name]:
                order_id = 100 + len(rows)
            one = attempt(
                name,
                outcome,
                order_key=key,
                attempt_no=number + 1,
                product_id=product_id,
                quantity=quantity,
                order_id=order_id if fate == "answered" else None,
                sent_at=NOON + number * 10 * SECOND,
            )
            attempts.append(one)
            if made[name] and order_id is not None:
                rows.append(row(order_id, one))
    return attempts, rows, made


@given(true_histories())
def test_committed_and_absent_are_never_wrong(
    history: tuple[list[Attempt], list[OrderRow], dict[str, bool]],
) -> None:
    attempts, rows, made = history
    for each in findings(attempts, rows).attempts:
        expected = {
            Outcome.ACKNOWLEDGED: {Verdict.CONFIRMED},
            Outcome.REJECTED: {Verdict.CLEAN},
            Outcome.UNSENT: {Verdict.CLEAN},
            Outcome.INDETERMINATE: {
                Verdict.COMMITTED if made[each.attempt.attempt_id] else Verdict.ABSENT
            },
        }[each.attempt.outcome]
        assert each.verdict in expected


@given(true_histories(), st.booleans())
def test_hiding_keys_never_contradicts_the_keyed_verdict(
    history: tuple[list[Attempt], list[OrderRow], dict[str, bool]], keeps_order_key: bool
) -> None:
    attempts, rows, made = history
    hidden = [
        replace(each, attempt_id="", order_key=each.order_key if keeps_order_key else "")
        for each in rows
    ]
    for each in findings(attempts, hidden).attempts:
        if each.verdict is Verdict.COMMITTED:
            assert made[each.attempt.attempt_id]
        assert each.verdict is not Verdict.CONTRADICTED
        assert each.verdict is not Verdict.LOST
        if each.verdict is Verdict.ABSENT:
            assert not made[each.attempt.attempt_id]


@given(true_histories(), st.randoms(use_true_random=False))
def test_the_order_of_attempts_and_rows_is_irrelevant(
    history: tuple[list[Attempt], list[OrderRow], dict[str, bool]], shuffler: random.Random
) -> None:
    attempts, rows, _ = history
    expected = findings(attempts, rows)
    shuffler.shuffle(attempts)
    shuffler.shuffle(rows)
    assert findings(attempts, rows) == expected


@given(true_histories(), st.data())
def test_deleting_any_row_loses_every_order_acknowledged_with_it(
    history: tuple[list[Attempt], list[OrderRow], dict[str, bool]], data: st.DataObject
) -> None:
    attempts, rows, _ = history
    if not rows:
        return
    gone = data.draw(st.sampled_from(rows))
    for each in findings(attempts, [one for one in rows if one is not gone]).attempts:
        if each.attempt.order_id == gone.id:
            assert each.verdict is Verdict.LOST
        elif each.attempt.outcome is Outcome.ACKNOWLEDGED:
            assert each.verdict is Verdict.CONFIRMED


@given(true_histories(), st.data())
def test_copying_any_row_makes_one_duplicate(
    history: tuple[list[Attempt], list[OrderRow], dict[str, bool]], data: st.DataObject
) -> None:
    attempts, rows, _ = history
    if not rows:
        return
    copied = data.draw(st.sampled_from(rows))
    found = findings(attempts, [*rows, replace(copied, id=9999)])
    assert [each.row.id for each in found.rows] == [9999]
    assert found.rows[0].verdict is Verdict.DUPLICATE


@given(true_histories())
def test_without_retries_confirmed_and_committed_make_up_the_rows(
    history: tuple[list[Attempt], list[OrderRow], dict[str, bool]],
) -> None:
    attempts, rows, _ = history
    first = [each for each in attempts if each.attempt_no == 1]
    own = [each for each in rows if each.attempt_id in {one.attempt_id for one in first}]
    found = findings(first, own)
    assert found.count(Verdict.CONFIRMED) + found.count(Verdict.COMMITTED) == len(own)
