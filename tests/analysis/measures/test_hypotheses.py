"""Each measure on a literal run, and what happens where it cannot be measured."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.errors import UsageError
from analysis.evidence.records import Event, Request, RunVerdict
from analysis.evidence.run import Fault, HypothesisTable, parse_run
from analysis.measures.hypotheses import Hypothesis, check_hypotheses
from analysis.verdict.judge_run import judge
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
    **more: Any,
) -> Hypothesis:
    table = HypothesisTable(
        id="h", statement="we believe", measure=measure, at_most=at_most, at_least=at_least,
        requests=names, **more,
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


def test_a_gap_that_could_not_have_been_longer_than_is_tolerated_is_undecided() -> None:
    failed = [ended_after(30, http_status=502)]
    found = score_one("longest_gap_s", failed, at_most=60, with_fault=fault())
    assert (found.measured, found.verdict) == (40, RunVerdict.UNDECIDED)
    assert "could not have been longer than 40 s" in found.note
    steady = [ended_after(seconds) for seconds in range(1, 60)]
    assert score_one("longest_gap_s", steady, at_most=60, with_fault=fault()).verdict == "undecided"
    assert score_one("longest_gap_s", steady, at_most=30, with_fault=fault()).verdict == "held"


def test_a_gap_that_is_open_as_the_load_ends_may_be_any_longer() -> None:
    requests = [ended_after(seconds) for seconds in range(1, 51)]
    found = score_one("longest_gap_s", requests, at_most=20, with_fault=fault())
    assert (found.measured, found.verdict) == (10, RunVerdict.UNDECIDED)
    assert "still open" in found.note
    assert score_one("longest_gap_s", requests, at_most=9, with_fault=fault()).verdict == "broken"


@pytest.mark.parametrize(
    ("measure", "at_most"), [("failed_requests", 5), ("failure_share", 0.5), ("latency_ms", 9e9)]
)
def test_what_is_measured_until_the_recovery_is_undecided_where_that_was_not_seen(
    measure: str, at_most: float
) -> None:
    how: dict[str, Any] = {"at_most": at_most, "with_fault": fault(), "phase": "during"}
    requests = [ended_after(21)]
    assert score_one(measure, requests, **how).verdict is RunVerdict.UNDECIDED
    assert score_one(measure, requests, events=RECOVERED, **how).verdict is RunVerdict.HELD


def test_latency_of_what_the_end_of_the_load_cut_off_may_be_any_longer() -> None:
    sent_at = NOON + 30 * SECOND
    hung = request(due_at=sent_at, sent_at=sent_at, ended_at=None, http_status=None)
    requests = [*(request() for _ in range(10)), *[hung] * 2]
    how: dict[str, Any] = {"percentile": 95}
    assert score_one("latency_ms", requests, at_most=40_000, **how).verdict == "undecided"
    assert score_one("latency_ms", requests, at_most=20_000, **how).verdict == "broken"
    assert score_one("latency_ms", requests, at_most=20_000, percentile=50).verdict == "held"


def test_a_window_that_had_not_ended_with_the_load_may_be_any_longer() -> None:
    failing = [ended_after(21), ended_after(22, http_status=502), ended_after(25, http_status=502)]
    how: dict[str, Any] = {"with_fault": fault(), "of": "client"}
    found = score_one("window_s", failing, at_most=30, **how)
    assert (found.measured, found.verdict) == (3, RunVerdict.UNDECIDED)
    assert "GET /products still failed" in found.note
    over = [*failing, ended_after(26)]
    assert score_one("window_s", over, at_most=30, **how).verdict is RunVerdict.HELD
    assert score_one("window_s", over, at_most=40, **how).verdict is RunVerdict.UNDECIDED
    assert score_one("window_s", [ended_after(1)], at_most=9, **how).verdict == "undecided"


@given(successes=st.lists(st.floats(20, 60), max_size=5), at_most=st.floats(0, 100))
def test_no_gap_is_held_that_a_longer_run_could_have_had(
    successes: list[float], at_most: float
) -> None:
    requests = [ended_after(20.5, http_status=502), *map(ended_after, successes)]
    found = score_one("longest_gap_s", requests, at_most=at_most, with_fault=fault())
    assert found.measured is not None
    if found.verdict is RunVerdict.HELD:
        assert found.measured <= at_most < 40
    assert (found.verdict is RunVerdict.BROKEN) is (found.measured > at_most)


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


# --- phases, percentiles, windows, invariants and verdicts ---

RECOVERED = [
    Event(at=FAULT_AT + SECOND, source="asg", subject="a", event="InProgress", detail=""),
    Event(at=FAULT_AT + 10 * SECOND, source="asg", subject="a", event="Successful", detail=""),
]


@pytest.mark.parametrize(
    ("phase", "expected"), [("before", 1), ("during", 2), ("after", 3), ("since", 5), ("whole", 6)]
)
def test_requests_count_in_the_phase_in_which_they_ended(phase: str, expected: int) -> None:
    moments = (19.9, 20, 29.9, 30, 40, 58)
    requests = [ended_after(seconds, http_status=502) for seconds in moments]
    found = score_one(
        "failed_requests", requests, with_fault=fault(), events=RECOVERED, phase=phase
    )
    assert found.measured == expected


@pytest.mark.parametrize("phase", ["before", "during", "after"])
def test_without_a_fault_its_phases_are_unknown(phase: str) -> None:
    found = score_one("failed_requests", [ended_after(1)], phase=phase)
    assert (found.measured, found.verdict) == (None, RunVerdict.UNDECIDED)


def test_after_is_unknown_where_nobody_saw_the_recovery() -> None:
    found = score_one("failed_requests", [ended_after(40)], with_fault=fault(), phase="after")
    assert found.verdict is RunVerdict.UNDECIDED


@pytest.mark.parametrize(
    ("percentile", "expected"), [(50, 500), (90, 900), (95, 1000), (100, 1000)]
)
def test_latency_is_the_nearest_rank(percentile: float, expected: float) -> None:
    requests = [
        request(sent_at=NOON, ended_at=NOON + tenth * SECOND // 10) for tenth in range(1, 11)
    ]
    found = score_one("latency_ms", requests, at_most=950, percentile=percentile)
    assert found.measured == expected
    assert found.verdict is (RunVerdict.BROKEN if expected > 950 else RunVerdict.HELD)


def test_latency_is_from_when_a_request_was_due() -> None:
    late = request(due_at=NOON, sent_at=NOON + SECOND, ended_at=NOON + 2 * SECOND)
    assert score_one("latency_ms", [late]).measured == 2000


def test_a_windows_length_can_be_tolerated_or_not() -> None:
    requests = [ended_after(21, http_status=502), ended_after(31, http_status=502)]
    found = score_one("window_s", requests, at_most=9, with_fault=fault(), of="client")
    assert (found.measured, found.verdict) == (10, RunVerdict.BROKEN)
    unseen = score_one("window_s", requests, at_most=9, with_fault=fault(), of="load_balancer")
    assert unseen.verdict is RunVerdict.UNDECIDED
    unfelt = score_one("window_s", [ended_after(31)], with_fault=fault(), of="client")
    assert (unfelt.measured, unfelt.verdict) == (0, RunVerdict.HELD)


def test_one_invariant_or_a_count_of_verdicts_can_be_believed_in() -> None:
    assert score_one("invariant", of="durability").verdict is RunVerdict.HELD
    found = score_one("verdict_count", at_most=None, at_least=2, of="confirmed")
    assert (found.measured, found.verdict) == (1, RunVerdict.BROKEN)
    undecided = score_one("invariant", of="fidelity")
    assert undecided.verdict is RunVerdict.HELD


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"measure": "vibes"}, "latency_ms"),
        ({"phase": "noon"}, "before, during, after, since, whole"),
        ({"measure": "window_s", "of": "x"}, "client, load_balancer, autoscaling"),
        ({"measure": "invariant"}, "durability"),
        ({"measure": "verdict_count", "of": "X"}, "confirmed, lost"),
        ({"at_most": None}, "at_most or at_least"),
        ({"percentile": 101.0}, "percentile is 101"),
    ],
)
def test_what_could_not_be_scored_is_refused_before_the_run(
    changes: dict[str, Any], known: str
) -> None:
    whole: dict[str, Any] = {"id": "h", "statement": "", "measure": "latency_ms"}
    whole |= {"at_most": 1, "at_least": None}
    check_hypotheses([HypothesisTable(**whole)])
    with pytest.raises(UsageError, match=known):
        check_hypotheses([HypothesisTable(**{**whole, **changes})])


def test_the_experiments_of_the_repository_can_be_scored() -> None:
    folder = Path(__file__).resolve().parents[3] / "infra" / "experiments"
    files = sorted(folder.glob("*.toml"))
    assert files
    for file in files:
        tables = tomllib.loads(file.read_text())["hypothesis"]
        check_hypotheses(parse_run({"run_id": "r", "hypotheses": tables}).hypotheses)
