"""Whatever happens to an honest shop's run, the judge says nothing that is not true."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.records import OrderRow, Outcome, RunVerdict, Verdict
from analysis.judging.finding_records import Method
from analysis.verdict.judge_run import judge
from analysis.verdict.judgement import Judgement
from tests.analysis.histories import PRICES, products_after, row
from tests.analysis.troubled_runs import TroubledRun, troubled_run
from tests.examples import examples

RUNS = st.integers(0, 2**48).map(troubled_run)
OFTEN = examples(300)
HELD, BROKEN = RunVerdict.HELD, RunVerdict.BROKEN


def judged(run: TroubledRun, **how: Any) -> Judgement:
    return judge(run.case, **how)


def assert_true(run: TroubledRun, found: Judgement) -> None:
    """Where strangers' rows bear no key either, nothing shows that they are not ours."""
    are_strangers_hidden = bool(run.strangers) and not run.has_keys
    for each in found.findings.attempts:
        made = run.made.get(each.attempt.attempt_id)
        if each.verdict is Verdict.COMMITTED and not are_strangers_hidden:
            assert made is not None, each
            assert each.row is None or each.row.id == made, each
        if each.verdict is Verdict.ABSENT:
            assert made is None, each
        if each.attempt.outcome is Outcome.ACKNOWLEDGED:
            assert each.verdict in (Verdict.CONFIRMED, Verdict.POSSIBLE), each


def assert_nobody_is_accused(run: TroubledRun, found: Judgement) -> None:
    if run.is_blind:  # it does sell twice under one key
        return
    allowed = {"nothing-unexpected"} if run.strangers else set()
    broken = {each.id: each.detail for each in found.invariants if each.verdict is BROKEN}
    assert set(broken) <= allowed, broken


def check_truth(run: TroubledRun) -> None:
    for found in (judged(run), judged(run, late_window_s=run.lateness_s * 1.001 + 1)):
        assert_true(run, found)
        assert_nobody_is_accused(run, found)
        if run.is_flawed:
            assert HELD not in {each.verdict for each in found.invariants}


def check_without_keys(run: TroubledRun) -> None:
    if run.strangers:
        return
    found = judged(run, method=Method.INFERRED)
    assert_true(run, found)
    if not run.is_blind:
        assert_nobody_is_accused(run, found)
    total = found.findings.committed_total
    if total is not None:
        told = {
            each.row.id
            for each in found.findings.attempts
            if each.verdict is Verdict.CONFIRMED and each.row is not None
        }
        by_open_ones = {
            run.made.get(each.attempt_id)
            for each in run.attempts
            if each.outcome is Outcome.INDETERMINATE
        }
        here = {each.id for each in run.rows}
        assert total == len((by_open_ones - told - {None}) & here)


@OFTEN
@given(RUNS)
def test_nothing_is_said_that_is_not_true_and_nobody_is_accused(run: TroubledRun) -> None:
    check_truth(run)


@OFTEN
@given(RUNS)
def test_nor_is_it_with_the_keys_hidden_and_the_number_is_exact(run: TroubledRun) -> None:
    check_without_keys(run)


def broken_by(run: TroubledRun, mistake: str) -> list[OrderRow] | None:
    """The rows that a shop with a mistake would have left; None where there is no room for it."""
    ours = sorted((each for each in run.rows if each.id not in run.strangers), key=_number)
    told = {each.order_id for each in run.attempts if each.outcome is Outcome.ACKNOWLEDGED}
    named = [each for each in ours if each.id in told]
    refused = [each for each in run.attempts if each.outcome is Outcome.REJECTED]
    match mistake:
        case "loses" if named:
            return [each for each in run.rows if each is not named[0]]
        case "sells twice" if ours:
            return [*run.rows, replace(ours[0], id=9999)]
        case "alters" if ours:
            more = (ours[0].quantity or 0) + 1
            total = PRICES[ours[0].product_id or 0] * more
            wrong = replace(ours[0], quantity=more, total=total)
            return [wrong if each is ours[0] else each for each in run.rows]
        case "refuses and sells" if refused:
            made = row(9999, refused[0])
            if not run.has_keys:
                made = replace(made, order_key="", attempt_id="")
            return [*run.rows, made]
    return None


def _number(each: OrderRow) -> int:
    return each.id


def check_no_mistake_is_held(run: TroubledRun, mistake: str) -> None:
    rows = broken_by(run, mistake)
    if rows is None:
        return
    for method in (Method.AUTO, Method.INFERRED):
        case = replace(run.case, orders=rows, products=products_after(rows))
        assert judge(case, method=method).verdict is not HELD


@OFTEN
@given(RUNS, st.sampled_from(["loses", "sells twice", "alters", "refuses and sells"]))
def test_no_mistake_is_held_however_troubled_the_run(run: TroubledRun, mistake: str) -> None:
    check_no_mistake_is_held(run, mistake)
