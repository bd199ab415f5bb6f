"""Successes that acknowledge nothing: what is judged of them, and what people are told."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.evidence.answers import NO_PRODUCTS
from analysis.evidence.records import Event, RunVerdict
from analysis.evidence.run_directory import RunDirectory
from analysis.measures.windows import Exposure, find_exposure
from analysis.report.run_figures import load_timeline
from analysis.verdict.headline import headline_of
from analysis.verdict.judge_run import judge, judge_run
from analysis.verdict.summary import summarise
from tests.analysis.histories import (
    NOON,
    SECOND,
    acknowledged,
    evidence,
    indeterminate,
    invariants_of,
    row,
    run,
    store,
)
from tests.analysis.measures.test_windows import FAULT

TEXT_ID = "bad_reply: order_id is a string instead of a whole number"


@pytest.mark.parametrize(("status", "cause"), [(202, "accepted"), (206, "206"), (207, "207")])
def test_a_success_that_promises_nothing_and_was_recorded_as_more_is_in_doubt(
    tmp_path: Path, status: int, cause: str
) -> None:
    told = acknowledged("told", 4)
    kept, late = (acknowledged(name, n, http_status=status) for name, n in (("kept", 5), ("l", 6)))
    case = evidence([told, kept, late], [row(4, told), row(5, kept)])
    directory = store(RunDirectory(tmp_path), case)
    summary = summarise(judge_run(directory))
    assert summary["verdict"] == "held"
    assert summary["indeterminate_by_cause"] == {cause: 2}
    assert summary["committed_by_cause"] == {cause: 1}
    with directory.relations() as relations:
        timeline = load_timeline(relations, case.run)
    assert {(each.kind, each.count) for each in timeline.orders} == {
        ("acknowledged", 1),
        (cause, 2),
    }
    assert timeline.orders_in_doubt == 2


def test_customers_who_were_answered_with_a_success_were_not_told_that_they_failed() -> None:
    told, failed = acknowledged("told", 4), indeterminate("failed")
    taken = indeterminate("taken", http_status=202)
    named = indeterminate("named", http_status=201, error=TEXT_ID)
    every = [told, failed, taken, named]
    rows = [row(number, each) for number, each in enumerate(every, 4)]
    summary = summarise(judge(evidence(every, rows)))
    assert summary["unacknowledged_orders"]["answered"] == 2  # type: ignore[index]
    sentence = headline_of(summary, in_doubt=3).sentence
    assert sentence.startswith("3 orders, not acknowledged (2 of them answered with a success")
    unanswered = summarise(judge(evidence([told, failed], rows[:2])))
    assert "whose customer was told" in headline_of(unanswered, in_doubt=1).sentence
    keyless = [replace(each, order_key="", attempt_id="") for each in rows]
    inferred = summarise(judge(evidence(every, keyless)))
    assert inferred["unacknowledged_orders"]["answered"] == 2  # type: ignore[index]


def test_where_orders_are_named_by_texts_the_verdict_says_so() -> None:
    named = [indeterminate(str(n), http_status=201, error=TEXT_ID) for n in range(3)]
    judgement = judge(evidence(named, [row(n, each) for n, each in enumerate(named, 4)]))
    durability = next(each for each in judgement.invariants if each.id == "durability")
    assert durability.detail == (
        "no order was acknowledged, so none could be lost; "
        "3 replies said: order_id is a string instead of a whole number"
    )
    (note,) = judgement.unclear_answers
    assert note.startswith("3 successes that answered an order were not understood: order_id is a")


def test_an_order_named_by_a_text_and_not_there_leaves_durability_open() -> None:
    told, named = acknowledged("told", 4), indeterminate("n", http_status=201, error=TEXT_ID)
    of_named = invariants_of(evidence([told, named], [row(4, told)]))
    assert of_named["durability"] is RunVerdict.UNDECIDED
    there = invariants_of(evidence([told, named], [row(4, told), row(5, named)]))
    assert there["durability"] is RunVerdict.HELD


def test_a_run_in_which_no_order_could_be_sent_says_why() -> None:
    why = "GET /products: expected an object; got a list"
    event = Event(at=NOON, source="harness", subject="r", event=NO_PRODUCTS, detail=why)
    judgement = judge(evidence([], [], events=[event]))
    assert judgement.verdict is RunVerdict.UNDECIDED
    assert judgement.invariants[0].detail == f"no order could be sent: {why}"
    assert judgement.unclear_answers == [f"products were not understood: {why}"]


def test_an_order_that_was_answered_without_a_server_is_not_taken_for_the_victims() -> None:
    caught = indeterminate("a", http_status=202, sent_at=NOON, ended_at=NOON + 9 * SECOND)
    case = evidence([caught], [], run=run(fault=FAULT))
    assert find_exposure(case) == Exposure(orders_in_flight_at_fault=1, on_victim=0)
