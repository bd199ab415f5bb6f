"""The fine points of a verdict: what it rests on, what it is worth, and where its bounds lie.

Most of these were found by mistakes that no other test noticed (`make mutants`).
"""

from dataclasses import replace
from decimal import Decimal
from math import inf
from typing import Any

import pytest

from analysis.evidence.records import Attempt, OrderRow, Outcome, Product, RunVerdict, Verdict
from analysis.evidence.run import Settle
from analysis.judging.attempt_verdicts import reconcile
from analysis.judging.clock import Bound, Clock, measure_clock
from analysis.judging.evidence import Evidence
from analysis.judging.finding_records import Basis, Method, Reconciliation
from analysis.judging.keyless.inference import Span, infer
from analysis.judging.keyless.ownerless import Ownerless
from analysis.judging.keyless.spans import Spans
from analysis.judging.row_owners import Attempts, Prices, Rows, is_same_money
from analysis.judging.undisputed import Ending, Undisputed
from analysis.verdict.judge_run import judge
from tests.analysis.histories import (
    NOON,
    PRICES,
    SECOND,
    acknowledged,
    evidence,
    findings,
    indeterminate,
    invariants_of,
    products_after,
    rejected,
    row,
    run,
    unsent,
    verdicts,
)
from tests.analysis.judging.keyless.test_spans import MS, clocked, opened, told

KEYED = acknowledged("keyed", 1)
KEYED_ROW = row(1, KEYED)
ONE_CONFIRMED = Undisputed(endings={Ending(Outcome.ACKNOWLEDGED, Verdict.CONFIRMED, 201, ""): 1})


def basis_of(found: Reconciliation, name: str) -> tuple[Basis, int]:
    (one,) = [each for each in found.attempts if each.attempt.attempt_id == name]
    return one.evidence, one.candidates


def offset_of(
    attempts: list[Attempt], rows: list[OrderRow], **how: object
) -> tuple[float | None, float | None]:
    clock = measure_clock(findings(attempts, rows, **how))
    return clock.offset_s, clock.error_s


# --- matchings ---


def test_a_span_is_given_no_point_from_before_it_begins_or_after_it_has_ended() -> None:
    assert infer([Span(3, 4)], [1, 3]).is_covered == [False, True]
    assert infer([Span(0, 1), Span(0, 1)], [0, 5]).is_covered == [True, False]


# --- what a verdict rests on ---


def test_evidence_names_the_key_the_reply_or_the_inference_that_decided() -> None:
    silent, gone, no = indeterminate("silent"), indeterminate("gone"), rejected("no")
    nameless, lost = acknowledged("nameless", None), acknowledged("lost", 99)
    rows = [KEYED_ROW, row(5, silent), row(6, nameless)]
    found = findings([KEYED, silent, gone, no, nameless, lost], rows)
    assert found.method is Method.KEY
    assert {each.attempt.attempt_id: each.evidence for each in found.attempts} == {
        "keyed": Basis.ORDER_ID,
        "silent": Basis.KEY,
        "gone": Basis.KEY,
        "no": Basis.KEY,
        "nameless": Basis.KEY,
        "lost": Basis.ORDER_ID,
    }
    misnamed = findings([KEYED, lost], [KEYED_ROW, row(5, lost)])
    assert basis_of(misnamed, "lost") == (Basis.KEY, 1)
    made_anyway = findings([KEYED, no], [KEYED_ROW, row(5, no)])
    assert basis_of(made_anyway, "no") == (Basis.KEY, 1)
    working = findings([KEYED, gone], [KEYED_ROW], settled=False)
    assert basis_of(working, "gone") == (Basis.NONE, 0)


def test_without_keys_absent_is_inferred_and_a_refusal_rests_on_nothing() -> None:
    other, no = indeterminate("other", product_id=2), rejected("no", product_id=2)
    found = findings([acknowledged("told", 5), other, no], [row(5)])
    assert found.method is Method.INFERRED
    assert basis_of(found, "other") == (Basis.INFERRED, 0)
    assert basis_of(found, "no") == (Basis.NONE, 0)


def test_a_row_that_two_attempts_at_its_order_may_have_made_is_known_by_its_key() -> None:
    first = indeterminate("first", order_key="o")
    again = indeterminate("again", order_key="o", sent_at=NOON + 2 * SECOND)
    found = findings([KEYED, first, again], [KEYED_ROW, row(5, first, attempt_id="")])
    assert basis_of(found, "first") == basis_of(found, "again") == (Basis.KEY, 1)


def test_an_order_key_binds_whatever_the_clocks_say() -> None:
    orders, rows = clocked()
    keyed = [
        replace(each, order_key=one.order_key, attempt_id=one.attempt_id)
        for each, one in zip(rows, orders, strict=True)
    ]
    first = opened("first", 5 * SECOND, order_key="o")
    again = opened("again", 9 * SECOND, order_key="o")
    its = row(1, first, attempt_id="", created_at=NOON + 6 * SECOND)
    found = verdicts([*orders, first, again], [*keyed, its, row(2, created_at=NOON)])
    assert (found["first"], found["again"]) == ("possible", "possible")


def test_where_the_table_was_not_read_only_what_is_open_is_possible() -> None:
    found = reconcile([KEYED, indeterminate("x")], None, products=None, settled=True)
    assert [(each.verdict, each.evidence) for each in found.attempts] == [
        (None, Basis.NONE),
        ("possible", Basis.NONE),
    ]
    assert (found.method, found.row_count) == (Method.KEY, None)


def test_a_number_is_inferred_only_without_keys_and_is_zero_for_an_empty_table() -> None:
    silent = indeterminate("a")
    assert findings([KEYED], [KEYED_ROW]).committed_total is None
    assert findings([silent], []).committed_total is None
    assert findings([silent], [], method=Method.INFERRED).committed_total == 0


def test_an_empty_table_is_judged_by_key() -> None:
    assert findings([KEYED], []).method is Method.KEY


def test_rows_that_bear_attempt_ids_alone_are_judged_by_key() -> None:
    a = indeterminate("a")
    found = findings([a], [row(5, a, order_key="")])
    assert (found.method, found.attempts[0].verdict) == (Method.KEY, "committed")


def test_attempts_are_told_of_in_the_order_in_which_they_were_sent() -> None:
    late, early = indeterminate("a", sent_at=NOON + SECOND), indeterminate("b", sent_at=NOON)
    assert list(verdicts([late, early], [])) == ["b", "a"]


@pytest.mark.parametrize("others", [0, 2])
def test_records_that_share_an_id_are_told_of_in_the_same_order_however_they_come(
    others: int,
) -> None:
    once = [indeterminate(f"b{each}", sent_at=NOON - SECOND) for each in range(others)]
    twice = [indeterminate("a", http_status=status) for status in (503, 502)]
    rows = [row(5, once[0] if once else None, total=Decimal(total)) for total in (2, 1)]
    rows += [row(9 + number, each) for number, each in enumerate(once)]
    expected = findings([*once, *twice], rows)
    assert [each.attempt.http_status for each in expected.attempts][others:] == [502, 503]
    assert findings([*twice[::-1], *once], rows[::-1]) == expected


# --- whose row ---


def test_attempts_without_an_order_key_are_orders_of_their_own() -> None:
    a, b = acknowledged("a", 5, order_key=""), acknowledged("b", 6, order_key="")
    assert verdicts([a, b], [row(5, a), row(6, b)]) == {"a": "confirmed", "b": "confirmed"}


def test_an_attempt_whose_id_is_empty_owns_no_row_that_bears_none() -> None:
    nameless = indeterminate("", order_key="o")
    found = verdicts([KEYED, nameless], [KEYED_ROW, row(5, product_id=2)])
    assert found == {"": "absent", "keyed": "confirmed", "row 5": "unexpected"}


def test_an_attempt_whose_id_is_empty_does_not_make_the_ids_of_a_proxy_keys() -> None:
    """It accused an honest shop once: rows that bear a proxy's ids were taken for strangers'."""
    nameless, told_of = indeterminate("", order_key="o"), acknowledged("told", 4)
    rows = [row(4, attempt_id="envoy-1"), row(5)]
    assert findings([nameless, told_of], rows).method is Method.INFERRED
    assert RunVerdict.BROKEN not in invariants_of(evidence([nameless, told_of], rows)).values()
    by_order = verdicts([nameless, told_of], [row(4, told_of, attempt_id="envoy-1"), row(5)])
    assert by_order == {"": "possible", "told": "confirmed"}


def test_where_undisputed_rows_bear_our_ids_an_id_that_nobody_sent_is_a_strangers() -> None:
    silent, strange = indeterminate("a"), row(5, attempt_id="strange")
    found = findings([silent], [strange], undisputed=ONE_CONFIRMED)
    assert found.method is Method.KEY
    assert [each.verdict for each in found.attempts] == ["absent"]
    assert [(each.row, each.verdict) for each in found.rows] == [(strange, "unexpected")]
    assert found.row_count == 2


def test_a_row_that_bears_the_id_of_an_attempt_nobody_sent_is_nobodys() -> None:
    a = indeterminate("a")
    stranger = row(5, order_key="", attempt_id="stranger")
    found = verdicts([KEYED, a], [KEYED_ROW, stranger])
    assert (found["a"], found["row 5"]) == ("absent", "unexpected")


def test_a_row_of_an_order_key_nobody_sent_is_unexpected_though_it_bears_no_attempt() -> None:
    strange = row(5, order_key="strange")
    assert verdicts([KEYED], [KEYED_ROW, strange])["row 5"] == "unexpected"


def test_a_strange_attempt_id_is_excused_only_by_a_reply_to_that_very_order() -> None:
    told_of, silent = acknowledged("told", 5), indeterminate("silent")
    excused = verdicts([KEYED, told_of], [KEYED_ROW, row(5, told_of, attempt_id="strange")])
    assert "row 5" not in excused
    others = verdicts([KEYED, told_of, silent], [KEYED_ROW, row(5, silent, attempt_id="strange")])
    assert others["row 5"] == "unexpected"


def test_two_rows_of_one_attempt_are_one_too_many_though_they_bear_two_order_keys() -> None:
    a, b = indeterminate("a"), indeterminate("b")
    found = verdicts([a, b], [row(5, a), row(6, a, order_key=b.order_key)])
    assert found["row 6"] == "duplicate"


def test_a_row_that_bears_the_keys_of_two_orders_counts_for_both() -> None:
    misnamed, silent = acknowledged("misnamed", 99), indeterminate("silent")
    found = findings([misnamed, silent], [row(5, silent, order_key=misnamed.order_key)])
    assert [each.verdict for each in found.attempts] == ["altered", "committed"]
    assert found.unacknowledged is not None
    assert found.unacknowledged.count == 1


@pytest.mark.parametrize("has_keys", [True, False])
def test_of_two_rows_with_one_id_the_one_that_fits_is_its_orders_and_the_other_a_duplicate(
    has_keys: bool,
) -> None:
    told_of = acknowledged("told", 5, quantity=2)
    fits = row(5, told_of)
    if not has_keys:
        fits = replace(fits, order_key="", attempt_id="")
    found = findings([told_of], [replace(fits, quantity=1), fits])
    assert [(each.verdict, each.row) for each in found.attempts] == [("confirmed", fits)]
    assert [each.verdict for each in found.rows] == ["duplicate"]
    assert verdicts([told_of], [fits, fits]) == {"told": "confirmed", "row 5": "duplicate"}


def test_of_a_refusal_it_is_said_how_many_rows_it_may_have_made() -> None:
    silent, no = [indeterminate("a"), indeterminate("b")], rejected("no")
    found = findings([*silent, no], [row(5), row(6)])
    assert basis_of(found, "no") == (Basis.NONE, 2)
    again = rejected("again", order_key=silent[0].order_key)
    found = findings([*silent, again], [row(5, silent[0], attempt_id="")])
    assert basis_of(found, "again") == (Basis.KEY, 1)


def test_one_wrong_row_of_an_open_attempt_is_enough_to_be_counted() -> None:
    a, b = indeterminate("a"), indeterminate("b")
    assert findings([a], [row(5, a), row(6, a, quantity=2)]).wrong_rows == 1
    assert findings([a, b], [row(5, a, order_key=b.order_key)]).wrong_rows == 1


def test_an_attempt_that_has_its_row_does_not_explain_another() -> None:
    a = indeterminate("a")
    assert verdicts([a], [row(5, a), row(6)])["row 6"] == "unexpected"


def test_an_open_attempt_that_was_told_an_id_does_not_claim_its_row() -> None:
    """A 500 may name an order; only a whole 2xx is an acknowledgement."""
    a = indeterminate("a", order_id=5)
    found = findings([a], [row(5)])
    assert basis_of(found, "a") == (Basis.INFERRED, 1)
    assert found.ownerless_rows == 1


def test_of_orders_told_the_same_row_the_first_to_end_to_send_and_to_be_named_has_it() -> None:
    def winner(*claimants: Attempt) -> list[str]:
        found = verdicts(claimants, [row(5)])
        return [name for name, verdict in found.items() if verdict == "confirmed"]

    a, b = acknowledged("a", 5), acknowledged("b", 5)
    assert winner(b, a) == ["a"]
    assert winner(replace(a, sent_at=NOON + 1), b) == ["b"]
    assert winner(replace(a, ended_at=NOON + 2 * SECOND, sent_at=NOON - 1), b) == ["b"]
    assert winner(replace(b, ended_at=None), a) == ["b"]
    assert winner(replace(b, sent_at=None), a) == ["b"]


def test_one_altered_order_among_many_is_enough_to_doubt_product_and_quantity() -> None:
    fine, altered = acknowledged("fine", 4), acknowledged("altered", 5)
    silent = indeterminate("silent", product_id=2)
    rows = [row(4), row(5, quantity=2), row(6, product_id=2, total=PRICES[2])]
    assert verdicts([fine, altered, silent], rows)["silent"] == "possible"


def test_an_order_that_was_never_sent_does_not_doubt_its_refusal() -> None:
    never, sent = unsent("never", sent_at=None), unsent("sent")
    silent = indeterminate("silent")
    assert findings([never, silent], [row(5)]).doubtful_refusals == 0
    assert findings([sent, silent], [row(5)]).doubtful_refusals == 1


@pytest.mark.parametrize(
    ("order_id", "expected", "basis"),
    [
        (500, "possible", Basis.NONE),
        (501, "lost", Basis.ORDER_ID),
        (None, "possible", Basis.NONE),
    ],
)
def test_the_last_id_that_was_not_read_is_not_called_lost(
    order_id: int | None, expected: str, basis: Basis
) -> None:
    found = findings([KEYED, acknowledged("a", order_id)], [KEYED_ROW], unseen_up_to=500)
    assert [each.verdict for each in found.attempts] == [expected, "confirmed"]
    assert basis_of(found, "a") == (basis, 0)


# --- rows without keys ---


def ownerless(*times: int | None) -> Ownerless:
    records = [row(number, created_at=at) for number, at in enumerate(times)]
    return Ownerless.of(Rows.of(records, Attempts.of([]), use_keys=False, are_ours=False).all)


@pytest.mark.parametrize(
    ("span", "count"),
    [
        (Span(), 4),
        (Span(20, 20), 2),
        (Span(21, inf), 2),
        (Span(-inf, 29), 3),
        (Span(31, inf), 1),
        (Span(25, 15), 1),
    ],
)
def test_rows_are_counted_by_their_times_ends_included_and_those_without_always(
    span: Span, count: int
) -> None:
    one = indeterminate("a")
    assert ownerless(30, 10, None, 20).count_for(one, span) == count
    assert ownerless(30, 10, None, 20).count_for(replace(one, quantity=9), span) == 0


def test_the_row_that_only_one_can_have_made_is_named_with_it() -> None:
    orders, rows = clocked()
    early, late = opened("early", 5 * SECOND), opened("late", 9 * SECOND)
    first, second = row(2, created_at=NOON + 6 * SECOND), row(1, created_at=NOON + 10 * SECOND)
    found = findings([*orders, early, late], [*rows, first, second])
    by_name = {each.attempt.attempt_id: each for each in found.attempts}
    assert (by_name["late"].row, by_name["late"].candidates) == (second, 1)
    assert (by_name["early"].row, by_name["early"].candidates) == (None, 2)
    timeless = row(3, created_at=None)
    found = findings([*orders, early, late], [*rows, first, timeless])
    by_name = {each.attempt.attempt_id: each for each in found.attempts}
    assert (by_name["late"].row, by_name["late"].candidates) == (timeless, 1)


def test_rows_of_each_product_and_quantity_are_counted() -> None:
    silent = [indeterminate(f"a{number}", quantity=number) for number in (1, 2, 3)]
    rows = [row(number, each) for number, each in enumerate(silent)]
    found = findings(silent, rows, method=Method.INFERRED)
    assert [(each.row, each.candidates) for each in found.attempts] == [(each, 1) for each in rows]
    assert found.ownerless_rows == 3


def test_a_row_promised_to_an_order_that_it_does_not_fit_leaves_the_number_open() -> None:
    wrong, silent = acknowledged("wrong", 5), indeterminate("silent")
    found = findings([wrong, silent], [row(5, total=Decimal("1.00"))])
    assert [each.verdict for each in found.attempts] == ["possible", "altered"]
    assert (found.committed_total, found.ownerless_rows) == (None, 1)


def test_a_reply_that_names_no_row_leaves_the_number_open_where_a_row_may_be_its() -> None:
    orders, rows = clocked()
    silent = opened("silent", 5 * SECOND)
    its = row(1, created_at=NOON + 6 * SECOND)
    may = acknowledged("may", None, sent_at=NOON + SECOND, ended_at=NOON + 2 * SECOND)
    cannot = replace(may, sent_at=NOON + 9 * SECOND, ended_at=NOON + 10 * SECOND)
    assert findings([*orders, silent, may], [*rows, its]).committed_total is None
    assert findings([*orders, silent, cannot], [*rows, its]).committed_total == 1


def test_a_retry_may_have_made_its_orders_row_or_one_that_nobody_named() -> None:
    first = acknowledged("first", 5, order_key="o")
    again = indeterminate("again", order_key="o")
    assert basis_of(findings([first, again], [row(5)]), "again") == (Basis.INFERRED, 1)
    found = findings([first, again, indeterminate("x")], [row(5), row(6)])
    assert basis_of(found, "again") == (Basis.INFERRED, 2)


def test_one_attempt_without_an_end_does_not_excuse_rows_too_late_for_another() -> None:
    orders, clock_rows = clocked()
    dead = opened("dead", 0)
    dead, first = replace(dead, ended_at=None), opened("first", 0)
    rows = [row(number, created_at=NOON + 19 * SECOND) for number in (1, 2)]
    found = findings([*orders, dead, first], [*clock_rows, *rows], late_window_s=1)
    assert (found.nobodys_rows, found.late_rows) == (1, 1)


# --- money ---


def test_amounts_are_the_same_up_to_half_a_cent() -> None:
    one = Decimal("1.00")
    assert is_same_money(Decimal("1.005"), one)  # which may be rounded either way
    assert not is_same_money(Decimal("1.0051"), one)
    assert not is_same_money(None, one)
    assert not is_same_money(one, None)


def test_a_total_of_unknown_price_or_quantity_is_unknown() -> None:
    prices = Prices.of(products_after([]))
    assert prices.total(1, 2) == Decimal("39.98")
    assert prices.total(1, None) is prices.total(None, 1) is prices.total(7, 1) is None


def test_a_row_without_a_total_is_altered_where_the_price_is_known() -> None:
    a = acknowledged("a", 5)
    assert verdicts([a], [row(5, a, total=None)]) == {"a": "altered"}


def test_where_a_price_is_unknown_totals_are_not_called_right() -> None:
    a = acknowledged("a", 5)
    products = [
        Product(id=1, name="x", price=None, stock_before=5, stock_after=4),
        *products_after([])[1:],
    ]
    found = invariants_of(evidence([a], [row(5, a)], products=products))
    assert {name for name, verdict in found.items() if verdict == "undecided"} == {
        "fidelity",
        "arithmetic",
    }


@pytest.mark.parametrize("has_keys", [True, False])
def test_what_customers_do_not_know_they_bought_is_counted_with_keys_and_without(
    has_keys: bool,
) -> None:
    told_of = acknowledged("told", 4)
    silent = indeterminate("silent", quantity=3)
    rows = [row(4, told_of), row(5, silent, total=Decimal("59.97"))]
    if has_keys:  # a stranger's is not theirs
        rows.append(row(6, indeterminate("stranger")))
    else:
        rows = [replace(each, order_key="", attempt_id="") for each in rows]
    hidden = findings([told_of, silent], rows).unacknowledged
    assert hidden is not None
    assert (hidden.count, hidden.pieces, hidden.value) == (1, 3, Decimal("59.97"))


def test_pieces_and_money_that_the_shop_left_open_count_nothing() -> None:
    a = indeterminate("a")
    hidden = findings([a], [row(5, a, quantity=None, total=None)]).unacknowledged
    assert hidden is not None
    assert (hidden.count, hidden.pieces, hidden.value) == (1, 0, Decimal(0))


# --- why nothing can be said ---


def details_of(case: Evidence) -> set[str]:
    return {each.detail for each in judge(case).invariants}


def test_a_table_that_was_not_read_is_given_as_the_reason() -> None:
    (why,) = details_of(evidence([KEYED], None))
    assert why == "the orders table was not read (no orders.csv)"


@pytest.mark.parametrize(
    ("still_open", "expected"),
    [(({}, {}), "2 transactions were open"), ((), "orders were being added")],
)
def test_a_database_that_did_not_rest_is_said_to_have_transactions_or_new_orders(
    still_open: tuple[dict[str, str], ...], expected: str
) -> None:
    settle = Settle(settled=False, waited_s=1.0, open_transactions=still_open)
    found = details_of(evidence([KEYED], [KEYED_ROW], run=run(settle=settle)))
    said = [each for each in found if "had not come to rest" in each]
    assert said
    assert all(each.endswith(expected) for each in said)


# --- clocks ---


def test_what_undisputed_orders_agree_on_is_asked_of_them_with_what_the_others_say() -> None:
    edges = [(SECOND, 0), (SECOND, 0), (3 * SECOND, 1), (4 * SECOND, 1)]
    common = [(SECOND, 3 * SECOND)]
    undisputed = replace(ONE_CONFIRMED, common=common, edges=lambda: edges)
    assert offset_of([KEYED], [KEYED_ROW], undisputed=undisputed) == (2.0, 1.0)
    agreeing = row(1, KEYED, created_at=(KEYED.sent_at or 0) + 2 * SECOND)
    undisputed = replace(undisputed, edges=list)
    assert offset_of([KEYED], [agreeing], undisputed=undisputed) == (1.5, 0.5)


def test_an_order_says_that_its_row_was_made_between_sending_and_ending() -> None:
    a = acknowledged("a", 5, ended_at=NOON + 3)
    assert offset_of([a], [row(5, a, created_at=NOON + 10)]) == (8e-06, 2e-06)
    assert offset_of([a], [row(5, a, created_at=NOON + SECOND)]) == (0.999999, 2e-06)


def test_the_first_offset_that_most_orders_allow_is_taken() -> None:
    def offset(*bounds: tuple[int, int]) -> float | None:
        orders = [
            acknowledged(f"a{n}", n, sent_at=NOON - high, ended_at=NOON - low)
            for n, (low, high) in enumerate(bounds)
        ]
        rows = [row(n, one, created_at=NOON) for n, one in enumerate(orders)]
        return offset_of(orders, rows)[0]

    assert offset((0, 10), (20, 30)) == 5e-06
    assert offset((0, 10), (20, 30), (22, 40)) == 26e-06
    assert offset((0, 10), (10, 20), (50, 60)) == 1e-05


@pytest.mark.parametrize(
    ("offset_s", "error_s", "expected"),
    [
        *((None, None, 0), (0.5, 0.1, 500_000), (-0.5, 0.1, -500_000)),
        *((0.1, 0.5, 0), (0.5, 0.5, 0), (0.5, None, 500_000), (3.0, 0.1, 3_000_000)),
    ],
)
def test_an_offset_is_certain_only_beyond_its_error(
    offset_s: float | None, error_s: float | None, expected: int
) -> None:
    assert Clock(offset_s=offset_s, error_s=error_s).certain_offset_us == expected


@pytest.mark.parametrize(
    ("change", "of_row"),
    [
        ({}, {"created_at": None}),
        ({"sent_at": None}, {}),
        ({"ended_at": None}, {}),
        ({"ended_at": NOON - 1}, {}),
        ({}, {"quantity": 2}),
    ],
    ids=["row without a time", "never sent", "never ended", "ended before", "altered"],
)
def test_an_order_that_lacks_a_time_or_its_row_shows_no_clock(
    change: dict[str, Any], of_row: dict[str, object]
) -> None:
    a = acknowledged("a", 5)
    assert offset_of([replace(a, **change)], [row(5, a, **of_row)]) == (None, None)


def test_by_key_only_the_attempt_that_made_the_row_shows_the_clock() -> None:
    first = indeterminate("first", order_key="o")
    again = acknowledged(
        "again", 5, order_key="o", sent_at=NOON + 4 * SECOND, ended_at=NOON + 5 * SECOND
    )
    made = row(5, first)
    assert offset_of([first, again], [made]) == (None, None)
    by_order = replace(made, attempt_id="")
    for rows, how in (([by_order], {}), ([made], {"method": Method.INFERRED})):
        assert offset_of([first, again], rows, **how) == (-2.0, 2.5)


def test_an_order_shows_no_clock_where_another_attempt_may_have_made_its_row_by_another() -> None:
    again = acknowledged("again", 5, order_key="o")
    known = (0.0, 0.5)
    never = unsent("never", order_key="o", sent_at=None)
    assert offset_of([never, again], [row(5)]) == known
    elsewhere = indeterminate("x", order_key="o", process_id="p2")
    assert offset_of([elsewhere, again], [row(5)]) == (None, None)
    unknown = indeterminate("x", order_key="o", sent_at=None)
    assert offset_of([unknown, again], [row(5)]) == (None, None)


# --- spans ---


def bounds_of(*bounds: tuple[int, int, int], odd: int = 1) -> list[Bound]:
    """(seconds, low, high) of orders whose rows bear times that are odd."""
    return [
        Bound("p1", NOON + at * SECOND, NOON + at * SECOND + odd, low, high)
        for at, low, high in bounds
    ]


def offsets(bounds: list[Bound], *others: int) -> tuple[int, int]:
    sent = [unsent(f"x{at}", sent_at=NOON + at * SECOND) for at in others]
    return Spans.of(bounds, sent, late_window_s=None).offsets["p1"]


# A clock may drift by 5 ms in the ten seconds of a stretch, and is kept to the microsecond.
SLACK = 5001


def test_within_ten_seconds_what_all_orders_allow_counts() -> None:
    assert offsets(bounds_of((0, -100, 1900), (9, -1900, 100))) == (
        -100 - SLACK - 1 - 4500,
        100 + SLACK + 1 + 4500,  # nobody was acknowledged for nine seconds
    )


def test_orders_bound_a_clock_the_same_however_they_come() -> None:
    found = bounds_of((0, -100, 1900), (4, -200, 1800), (11, 50_000, 52_000))
    assert offsets(found[::-1]) == offsets([found[1], found[0], found[2]]) == offsets(found)


def test_over_the_run_what_any_ten_seconds_allow_counts() -> None:
    found = offsets(bounds_of((0, -100, 1900), (11, 50_000, 52_000)))
    assert found == (-100 - SLACK - 1 - 5500, 52_000 + SLACK + 1 + 5500)


def test_orders_that_contradict_each_other_leave_all_that_any_allows() -> None:
    found = offsets(bounds_of((0, -90_000, -80_000), (0, 80_000, 90_000)))
    assert found == (-90_000 - SLACK - 5, 90_000 + SLACK + 5)


def test_orders_that_agree_on_one_moment_only_leave_that_moment() -> None:
    just = -2000 + 2 * (SLACK + 1)
    assert offsets(bounds_of((0, -4000, -2000), (0, just, just + 2000))) == (3002, 3002)
    too_far = bounds_of((0, -4000, -2000), (0, just + 1, just + 2001))
    assert offsets(too_far) == (-4000 - SLACK - 1, just + 2001 + SLACK + 1)


def test_drift_is_never_rounded_down() -> None:
    """Between the ends of an order, and while none was acknowledged, 500 ppm of the time."""
    assert offsets(bounds_of((0, 0, 2001))) == (-SLACK - 2, 2001 + SLACK + 2)
    (one,) = bounds_of((0, 0, 2000))
    never = unsent("x", sent_at=NOON + 2001)
    alone = Spans.of([one], [never], late_window_s=None)
    assert alone.offsets["p1"] == (-SLACK - 1 - 2, 2000 + SLACK + 1 + 2)


def test_a_time_without_acknowledgements_lets_the_clock_drift_at_either_end() -> None:
    alone = bounds_of((10, 0, 2000))
    assert offsets(alone) == (-SLACK - 1, 2000 + SLACK + 1)
    assert offsets(alone, 10, 14) == (-SLACK - 1 - 2000, 2000 + SLACK + 1 + 2000)
    assert offsets(alone, 4, 14) == (-SLACK - 1 - 3000, 2000 + SLACK + 1 + 3000)


@pytest.mark.parametrize(
    ("odd", "grain"), [(1, 1), (1000, 1000), (500_000, 100_000), (10 * SECOND, SECOND)]
)
def test_bounds_are_as_wide_as_times_are_coarse(odd: int, grain: int) -> None:
    low, high = offsets(bounds_of((0, 0, 2000), odd=odd))
    assert (low, high) == (-5000 - grain - 1, 2000 + 5000 + grain + 1)


MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND


@pytest.mark.parametrize(
    ("apart", "grain"),
    [
        *((0, DAY), (MINUTE, MINUTE), (61 * MINUTE, MINUTE)),
        *((HOUR, HOUR), (25 * HOUR, HOUR), (DAY, DAY), (2 * DAY, DAY)),
    ],
)
@pytest.mark.parametrize("zone", [0, 20 * MINUTE], ids=str)
def test_times_of_whole_minutes_are_as_coarse_as_they_are_apart(
    apart: int, grain: int, zone: int
) -> None:
    times = (NOON + zone, NOON + zone + apart)
    found = [Bound("p1", NOON, created_at, 0, 2000) for created_at in times]
    slack = SLACK - 1 + grain + 1
    assert offsets(found) == (-slack, 2000 + slack)


def test_a_late_window_is_counted_in_microseconds_and_may_have_no_end() -> None:
    def window(seconds: float | None) -> int | None:
        return Spans.of([], [], late_window_s=seconds).late_window_us

    assert (window(7), window(0.0000011), window(0)) == (7 * SECOND, 2, 0)
    assert window(None) is window(inf) is None


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"sent_at": 10, "ended_at": 10}, Span(8, 18)),
        ({"sent_at": 10, "ended_at": 9}, Span(8, inf)),
        ({"sent_at": None, "ended_at": 9}, Span(-inf, 17)),
        ({"sent_at": None, "ended_at": 0}, Span(-inf, 8)),
        ({"sent_at": 10, "ended_at": None}, Span(8, inf)),
    ],
)
def test_a_late_window_counts_from_the_end_if_that_came_after_sending(
    times: dict[str, int | None], expected: Span
) -> None:
    spans = Spans(offsets={"p1": (-2, 3)}, late_window_us=5)
    assert spans.of_attempt(indeterminate("a", **times)) == expected
    assert spans.of_attempt(indeterminate("a", process_id="p2", **times)) == Span()


def test_clocks_are_bounded_by_the_orders_of_the_whole_run() -> None:
    """The same order a minute later by a clock that was set: both may have been."""
    one, other = told(10, 0), told(11, 60 * SECOND, ahead=-3 * SECOND)
    rows = [
        row(n, product_id=2, total=PRICES[2], created_at=(each.sent_at or 0) + ahead + MS)
        for n, each, ahead in ((10, one, 0), (11, other, -3 * SECOND))
    ]
    maker = opened("maker", 50 * SECOND)
    its = row(1, created_at=NOON + 47 * SECOND + MS)
    assert verdicts([one, other, maker], [*rows, its])["maker"] == "committed"
