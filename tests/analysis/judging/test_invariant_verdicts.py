"""Each invariant is broken on proof, held on whole evidence, and else undecided."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.ledger.line_records import LedgerFindings
from analysis.evidence.records import Product, RunVerdict, Verdict
from analysis.evidence.run import Before, Settle
from analysis.judging import invariant_verdicts
from analysis.judging.evidence import Evidence
from analysis.judging.invariant_verdicts import worst
from analysis.judging.invariants import CHECKS, Case, Finding
from analysis.verdict.judge_run import judge
from tests.analysis.histories import (
    NOON,
    SECOND,
    SETTLED,
    acknowledged,
    evidence,
    indeterminate,
    invariants_of,
    products_after,
    rejected,
    row,
    run,
)

HELD, UNDECIDED, BROKEN = RunVerdict.HELD, RunVerdict.UNDECIDED, RunVerdict.BROKEN
NAMES = [
    *("durability", "exactly-once", "fidelity", "definite-no"),
    *("conservation", "no-oversell", "arithmetic", "nothing-unexpected"),
]
A, B, C = acknowledged("a", 1), indeterminate("b"), rejected("c")
ROWS = [row(1, A), row(2, B)]


def good() -> Evidence:
    """A run in which all is well: one order told, one not, one refused."""
    return evidence([A, B, C], ROWS)


def broken(case: Evidence) -> set[str]:
    return {name for name, verdict in invariants_of(case).items() if verdict is BROKEN}


def undecided(case: Evidence) -> set[str]:
    return {name for name, verdict in invariants_of(case).items() if verdict is UNDECIDED}


def test_a_good_run_holds_every_invariant_in_the_contracts_order() -> None:
    assert invariants_of(good()) == dict.fromkeys(NAMES, HELD)
    assert judge(good()).verdict is HELD


def test_stock_of_orders_that_were_accepted_for_later_is_no_proof_of_a_loss() -> None:
    later = indeterminate("later", http_status=202, error="")
    taken = products_after([*ROWS, row(3, later)])
    assert undecided(evidence([A, B, later], ROWS, products=taken)) == {"conservation"}
    # What comes back into the stock is no order that waits.
    assert broken(evidence([A, B, later], ROWS, products=products_after([]))) == {"conservation"}
    without = evidence([A, B, replace(later, http_status=502)], ROWS, products=taken)
    assert broken(without) == {"conservation"}


def test_what_was_open_and_idle_before_the_run_may_have_made_a_row() -> None:
    idle = Settle(settled=True, waited_s=0, open_transactions=({"pid": 1, "waited_for": False},))
    before = Before(max_order_id=0, settle=idle, products=())
    assert not replace(good(), before=before).is_whole
    assert judge(replace(good(), before=before)).verdict is HELD  # every row bears its keys


def test_a_lost_order_breaks_durability() -> None:
    assert broken(evidence([A, B], [row(2, B)])) == {"durability"}


def test_durability_says_which_lost_orders_were_named_by_an_older_id() -> None:
    before = Before(max_order_id=500, settle=SETTLED, products=())
    case = evidence([A, B], [row(2, B)], before=before)
    assert "from before the run, 500 or lower" in judge(case).invariants[0].detail


def test_a_copied_row_breaks_exactly_once() -> None:
    rows = [*ROWS, row(3, B)]
    case = evidence([A, B], rows, products=products_after(rows))
    assert broken(case) == {"exactly-once"}


def test_an_altered_row_breaks_fidelity() -> None:
    assert broken(evidence([A], [row(1, A, quantity=2, total=Decimal("39.98"))])) == {"fidelity"}


def test_a_wrong_row_of_an_unanswered_order_breaks_fidelity() -> None:
    wrong = row(2, B, quantity=2, total=Decimal("39.98"))
    assert broken(evidence([A, B], [row(1, A), wrong])) == {"fidelity"}


def test_a_refused_order_with_a_row_breaks_the_definite_no() -> None:
    assert broken(evidence([A, C], [row(1, A), row(2, C)])) == {"definite-no"}


def test_a_wrong_total_breaks_arithmetic_and_fidelity() -> None:
    case = evidence([A], [row(1, A, total=Decimal("19.98"))])
    assert broken(case) == {"arithmetic", "fidelity"}


def test_a_total_off_by_less_than_half_a_cent_holds() -> None:
    assert broken(evidence([A], [row(1, A, total=Decimal("19.9900001"))])) == set()


def test_a_row_nobody_ordered_breaks_nothing_unexpected() -> None:
    stranger = row(3, indeterminate("stranger"))
    assert broken(evidence([A], [row(1, A), stranger])) == {"nothing-unexpected"}


@given(st.integers(-1000, 1000).filter(bool), st.sampled_from([0, 1]))
def test_any_change_of_stock_breaks_conservation_and_names_the_product(by: int, at: int) -> None:
    products = products_after(ROWS)
    after = products[at].stock_after
    assert after is not None
    products[at] = replace(products[at], stock_after=after + by)
    judgement = judge(evidence([A, B, C], ROWS, products=products))
    found = {each.id: each for each in judgement.invariants}
    assert found["conservation"].verdict is BROKEN
    assert found["conservation"].detail.startswith(f"product {products[at].id}: ")


@given(st.data())
def test_no_change_to_a_good_runs_evidence_goes_unseen(data: st.DataObject) -> None:
    number_of_orders = data.draw(st.integers(2, 6))
    attempts = [acknowledged(f"a{each}", each) for each in range(1, number_of_orders + 1)]
    attempts += [indeterminate("open", order_key="late"), rejected("no")]
    rows = [row(each.order_id or 99, each) for each in attempts[:-1]]
    products = products_after(rows)
    at = data.draw(st.integers(0, number_of_orders - 1))
    other = data.draw(st.integers(0, len(rows) - 1).filter(lambda each: each != at))
    match data.draw(st.sampled_from(["drop", "copy", "product", "pieces", "total", "key", "no"])):
        case "drop":
            del rows[at]
        case "copy":
            rows.append(replace(rows[at], id=1000))
        case "product":
            rows[at] = replace(rows[at], product_id=2)
        case "pieces":
            rows[at] = replace(rows[at], quantity=2)
        case "total":
            rows[at] = replace(rows[at], total=Decimal("20.00"))
        case "key":
            named = rows[other]
            rows[at] = replace(rows[at], attempt_id=named.attempt_id, order_key=named.order_key)
        case "no":
            rows[at] = replace(rows[at], attempt_id="no", order_key="order-no")
    assert judge(evidence(attempts, rows, products=products)).verdict is BROKEN


def test_stock_below_zero_breaks_no_oversell() -> None:
    case = evidence([A], [row(1, A)], products=products_after([row(1, A)], stock=0))
    assert broken(case) == {"no-oversell"}


# --- what cannot be held ---


def test_without_orders_nothing_is_held() -> None:
    case = evidence([A, B], None)
    assert undecided(case) == set(NAMES)
    assert judge(case).verdict is UNDECIDED


def test_without_products_stock_totals_and_fidelity_are_undecided() -> None:
    expected = {"fidelity", "conservation", "no-oversell", "arithmetic"}
    assert undecided(evidence([A, B, C], ROWS, products=None)) == expected


@pytest.mark.parametrize(
    "flaw",
    [
        {"settle": None},
        {"settle": Settle(settled=False, waited_s=30.0)},
        {"ledger": LedgerFindings(torn_lines=1)},
        {"ledger": LedgerFindings(unmatched_ends=1)},
    ],
    ids=["settle unknown", "not settled", "torn line", "unmatched end"],
)
def test_on_flawed_evidence_nothing_is_held(flaw: dict[str, object]) -> None:
    assert undecided(replace(good(), run=run(**flaw))) == set(NAMES)


def test_a_torn_last_line_is_no_flaw() -> None:
    case = replace(good(), run=run(ledger=LedgerFindings(torn_last_lines=3)))
    assert judge(case).verdict is HELD


def test_with_an_attempt_id_used_twice_nothing_is_held() -> None:
    assert undecided(evidence([A, B, B], ROWS)) == set(NAMES)


def test_a_proof_stands_on_flawed_evidence_too() -> None:
    case = evidence([A, B], [row(2, B)], run=run(settle=None))
    assert invariants_of(case)["durability"] is BROKEN


def test_an_unexpected_row_is_no_proof_where_a_ledger_line_is_torn() -> None:
    stranger = row(3, indeterminate("stranger"))
    flawed = run(ledger=LedgerFindings(torn_lines=1))
    case = evidence([A], [row(1, A), stranger], run=flawed)
    assert invariants_of(case)["nothing-unexpected"] is UNDECIDED


def test_a_database_at_work_before_the_run_leaves_stock_and_strangers_open() -> None:
    busy = Before(max_order_id=0, settle=Settle(settled=False, waited_s=30.0), products=())
    case = evidence([A], [row(1, A)], before=busy)
    assert undecided(case) == {"conservation", "nothing-unexpected"}


def test_a_run_without_an_acknowledged_order_proves_nothing() -> None:
    assert undecided(evidence([B], [row(2, B)])) == {"durability", "fidelity"}
    assert judge(evidence([], [])).verdict is UNDECIDED


def test_without_keys_a_row_that_may_be_anyones_leaves_it_open() -> None:
    case = evidence([A, B, C], [row(1), row(2)])
    expected = {"exactly-once", "fidelity", "definite-no", "nothing-unexpected"}
    assert undecided(case) == expected
    assert broken(case) == set()


def test_without_keys_all_is_held_where_replies_name_every_row() -> None:
    case = evidence([A, B, C], [row(1)])
    assert judge(case).verdict is HELD
    assert judge(case).findings.count(Verdict.ABSENT) == 1


def test_without_keys_rows_beyond_the_open_attempts_break_nothing_unexpected() -> None:
    case = evidence([A, B], [row(1), row(2), row(3)])
    assert broken(case) == {"nothing-unexpected"}
    assert {"exactly-once", "fidelity"} <= undecided(case)


def test_without_keys_a_row_that_nobody_can_have_made_leaves_open_whose_it_is() -> None:
    refused_too = evidence([A, C], [row(1), row(2, product_id=2, total=Decimal("5.00"))])
    assert broken(refused_too) == {"nothing-unexpected"}
    assert undecided(refused_too) == {"exactly-once", "fidelity", "definite-no"}


def test_without_keys_a_row_too_many_is_no_proof_where_a_ledger_line_is_torn() -> None:
    flawed = run(ledger=LedgerFindings(torn_lines=1))
    case = evidence([A, B], [row(1), row(2), row(3)], run=flawed)
    assert broken(case) == set()
    found = judge(case).findings
    assert (found.count(Verdict.COMMITTED), found.committed_total) == (0, None)


def test_a_row_that_is_only_later_than_was_assumed_is_no_proof() -> None:
    late = row(2, created_at=NOON + 600 * SECOND)
    case = evidence([A, B], [row(1), late])
    by_window = judge(case, late_window_s=5)
    assert [each.row.id for each in by_window.findings.rows] == [2]
    assert by_window.verdict is UNDECIDED
    assert judge(case).findings.rows == []


def test_an_order_that_may_be_among_rows_that_were_not_read_is_not_called_lost() -> None:
    before = Before(max_order_id=500, settle=SETTLED, products=())
    told, above, silent = acknowledged("told", 17), acknowledged("above", 501), indeterminate("x")
    full = products_after([row(17, told), row(501, above)])
    case = evidence(
        [told, above, silent],
        [row(501, above)],
        products=full,
        before=before,
        run=run(older_rows=1),
    )
    assert undecided(case) == set(NAMES)
    assert {each.verdict for each in judge(case).findings.attempts} == {"possible", "confirmed"}
    unknown = judge(replace(case, before=None))  # how far up the rows were not read
    assert unknown.findings.count(Verdict.LOST) == 0
    gone = replace(case, orders=[])
    assert invariants_of(gone)["durability"] is BROKEN  # above 500 nothing is missing
    assert judge(replace(case, run=run())).findings.count(Verdict.LOST) == 1


def test_a_product_that_came_or_went_is_undecided() -> None:
    gone = Product(id=3, name="x", price=Decimal(1), stock_before=5, stock_after=None)
    case = evidence([A], [row(1, A)], products=[*products_after([row(1, A)]), gone])
    assert undecided(case) == {"conservation", "no-oversell"}


def test_a_row_of_an_unknown_product_is_undecided_where_its_price_is_needed() -> None:
    odd = acknowledged("odd", 7, product_id=77)
    case = evidence([A, odd], [row(1, A), row(7, odd, total=Decimal(1))])
    assert undecided(case) == {"fidelity", "conservation", "arithmetic"}


def test_a_check_that_raises_is_undecided_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def crash(case: Case) -> Finding:
        message = "boom"
        raise RuntimeError(message)

    monkeypatch.setattr(invariant_verdicts, "CHECKS", [("crash", "crashes", crash), *CHECKS])
    judgement = judge(good())
    assert judgement.invariants[0].verdict is UNDECIDED
    assert judgement.invariants[0].detail == "the check failed: RuntimeError: boom"
    assert {each.verdict for each in judgement.invariants[1:]} == {HELD}


def test_broken_beats_undecided_beats_held() -> None:
    assert worst([HELD, UNDECIDED, BROKEN]) is BROKEN
    assert worst([HELD, UNDECIDED]) is UNDECIDED
    assert worst([HELD]) is HELD
    assert worst([]) is UNDECIDED
