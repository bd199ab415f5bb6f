"""Each measure on a literal run, and what happens where it cannot be measured."""

from typing import Any

import pytest

from analysis.hypotheses import Hypothesis
from analysis.judgement import judge
from analysis.records import Event, Request, RunVerdict
from analysis.run import Fault, HypothesisTable
from tests.analysis.histories import NOON, SECOND, acknowledged, evidence, request, row, run

FAULT_AT = NOON + 20 * SECOND
A = acknowledged("a", 1)


def fault(started_at: int | None = FAULT_AT) -> Fault:
    return Fault(
        experiment_id="EXP1",
        action="aws:ec2:stop-instances",
        targets=("i-1",),
        started_at=started_at,
        ended_at=None,
    )


def ended_after(seconds: float, name: str = "GET /products", **changes: Any) -> Request:
    return request(name, ended_at=NOON + round(seconds * SECOND), **changes)


def target(seconds: float, subject: str, event: str) -> Event:
    at = NOON + round(seconds * SECOND)
    return Event(at=at, source="elb", subject=subject, event=event, detail="")


def score_one(
    measure: str,
    requests: list[Request] | None = None,
    *,
    at_most: float | None = 0,
    at_least: float | None = None,
    names: tuple[str, ...] = (),
    events: list[Event] | None = None,
    with_fault: Fault | None = None,
) -> Hypothesis:
    table = HypothesisTable(
        id="h", statement="we believe", measure=measure, at_most=at_most, at_least=at_least,
        requests=names,
    )  # fmt: skip
    case = evidence(
        [A],
        [row(1, A)],
        run=run(hypotheses=(table,), fault=with_fault),
        requests=requests,
        events=events or [],
    )
    return judge(case).hypotheses[0]


def test_failed_requests_are_counted_from_the_fault_on() -> None:
    requests = [
        ended_after(5, http_status=502),
        ended_after(21, http_status=502),
        ended_after(22, http_status=None, error="timeout"),
        ended_after(23, http_status=404),
        ended_after(24),
    ]
    found = score_one("failed_requests", requests, with_fault=fault())
    assert (found.measured, found.verdict) == (3, RunVerdict.BROKEN)
    assert score_one("failed_requests", requests).measured == 4


def test_a_sold_out_order_is_an_answer_and_a_cut_off_request_says_nothing() -> None:
    requests = [
        ended_after(21, "POST /orders", http_status=409),
        ended_after(22, http_status=None, error="in_flight_at_stop"),
    ]
    found = score_one("failed_requests", requests)
    assert (found.measured, found.verdict) == (0, RunVerdict.HELD)


def test_a_conflict_on_anything_but_an_order_is_a_failure() -> None:
    assert score_one("failed_requests", [ended_after(21, http_status=409)]).measured == 1


def test_only_the_named_requests_count() -> None:
    requests = [ended_after(21, "GET /products"), ended_after(22, "POST /orders", http_status=500)]
    assert score_one("failed_requests", requests, names=("GET /products",)).measured == 0
    named = score_one("failure_share", requests, names=("GET /products", "POST /orders"))
    assert named.measured == 0.5


def test_longest_gap_runs_from_the_fault_to_the_end() -> None:
    requests = [ended_after(seconds) for seconds in (10, 22, 30, 58)]
    found = score_one("longest_gap_s", requests, at_most=20, with_fault=fault())
    assert (found.measured, found.verdict) == (28, RunVerdict.BROKEN)


def test_longest_gap_ends_when_users_were_told_to_stop() -> None:
    stop = Event(
        at=NOON + 32 * SECOND, source="harness", subject="r", event="run_stopping", detail=""
    )
    requests = [ended_after(seconds) for seconds in (22, 30)]
    found = score_one("longest_gap_s", requests, at_most=20, with_fault=fault(), events=[stop])
    assert found.measured == 8


def test_without_any_success_the_gap_is_all_of_the_time() -> None:
    requests = [ended_after(30, http_status=502)]
    assert score_one("longest_gap_s", requests, with_fault=fault()).measured == 40


def test_replacement_is_a_target_that_was_not_there_before_the_fault() -> None:
    events = [
        target(1, "i-1", "healthy"),
        target(1, "i-2", "healthy"),
        target(30, "i-2", "healthy"),
        target(40, "i-3", "initial"),
        target(45.5, "i-3", "healthy"),
    ]
    found = score_one("replacement_healthy_s", at_most=60, with_fault=fault(), events=events)
    assert (found.measured, found.verdict) == (25.5, RunVerdict.HELD)


def test_replacement_that_did_not_come_in_the_tolerated_time_is_broken() -> None:
    events = [target(1, "i-1", "healthy"), target(55, "i-1", "unhealthy")]
    found = score_one("replacement_healthy_s", at_most=30, with_fault=fault(), events=events)
    assert (found.measured, found.verdict) == (None, RunVerdict.BROKEN)
    later = score_one("replacement_healthy_s", at_most=300, with_fault=fault(), events=events)
    assert later.verdict is RunVerdict.UNDECIDED


def test_invariants_broken_counts_and_is_undecided_where_they_are() -> None:
    assert score_one("invariants_broken").verdict is RunVerdict.HELD
    table = HypothesisTable(
        id="h", statement="", measure="invariants_broken", at_most=0, at_least=None, requests=()
    )
    case = evidence([A], None, run=run(hypotheses=(table,)))
    assert judge(case).hypotheses[0].verdict is RunVerdict.UNDECIDED


@pytest.mark.parametrize(
    "measure", ["failed_requests", "failure_share", "longest_gap_s", "replacement_healthy_s"]
)
def test_missing_evidence_is_undecided(measure: str) -> None:
    found = score_one(measure, None, with_fault=fault())
    assert (found.measured, found.verdict) == (None, RunVerdict.UNDECIDED)


def test_a_fault_that_never_began_leaves_it_undecided() -> None:
    found = score_one("failed_requests", [ended_after(21)], with_fault=fault(None))
    assert found.verdict is RunVerdict.UNDECIDED


def test_an_unknown_measure_is_undecided_and_its_note_lists_the_known() -> None:
    found = score_one("vibes")
    assert found.verdict is RunVerdict.UNDECIDED
    assert "failed_requests" in found.note


def test_at_least_is_judged_too() -> None:
    requests = [ended_after(21, http_status=502)]
    held = score_one("failed_requests", requests, at_most=None, at_least=1)
    assert held.verdict is RunVerdict.HELD
    assert held.tolerated == {"at_least": 1}
    broken = score_one("failed_requests", [ended_after(21)], at_most=None, at_least=1)
    assert broken.verdict is RunVerdict.BROKEN


def test_a_hypothesis_that_tolerates_nothing_is_undecided() -> None:
    assert score_one("failed_requests", [ended_after(1)], at_most=None).verdict == "undecided"
