"""Windows, exposure and clocks on literal runs."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from analysis.evidence.records import Event
from analysis.evidence.run import Fault, HealthCheck
from analysis.judging.access_log import BalancerLog
from analysis.judging.clock import measure_clock
from analysis.judging.evidence import Evidence
from analysis.measures.windows import EndedBy, Window, find_exposure, find_windows
from analysis.terminal.run_result import render
from analysis.verdict.judge_run import judge
from infra.lab.balancer.access_log import alb_line
from tests.analysis.histories import (
    NOON,
    SECOND,
    acknowledged,
    evidence,
    findings,
    indeterminate,
    request,
    row,
    run,
)
from tests.examples import examples
from tests.infra.lab.balancer.test_access_log import ANSWERED

FAULT = Fault(
    experiment_id="EXP1",
    action="aws:ec2:stop-instances",
    targets=("i-1",),
    started_at=NOON,
    ended_at=NOON + 5 * SECOND,
)


def event(seconds: float, source: str, subject: str, what: str, detail: str = "") -> Event:
    at = NOON + round(seconds * SECOND)
    return Event(at=at, source=source, subject=subject, event=what, detail=detail)


def felt() -> Evidence:
    requests = [
        request(ended_at=NOON - 3 * SECOND, http_status=502),
        request(ended_at=NOON + 2 * SECOND, http_status=502),
        request(ended_at=NOON + 27 * SECOND, http_status=None, error="timeout"),
        request(ended_at=NOON + 40 * SECOND),
        request(ended_at=NOON + 59 * SECOND, http_status=None, error="in_flight_at_stop"),
    ]
    events = [
        event(-5, "elb", "i-1", "healthy"),
        event(25, "elb", "i-1", "unhealthy"),
        event(26, "elb", "i-1", "unused"),
        event(20, "elb", "i-2", "unhealthy"),
        event(-9, "asg", "act-0", "Successful"),
        event(28, "asg", "act-1", "InProgress"),
        event(45, "asg", "act-1", "Successful"),
    ]
    return evidence([], [], run=run(fault=FAULT), requests=requests, events=events)


def test_client_window_is_from_the_first_to_the_last_failure_after_the_fault() -> None:
    window = find_windows(felt()).client
    assert window is not None
    assert (window.begins_at - NOON, window.seconds) == (2 * SECOND, 25.0)


def test_balancer_window_ends_when_the_victim_is_taken_out() -> None:
    window = find_windows(felt()).load_balancer
    assert window is not None
    assert (window.begins_at, window.seconds) == (NOON, 25.0)


STOPPING = event(1, "ec2", "i-1", "stopping", "us-east-1a")
STOPPED = event(8, "ec2", "i-1", "stopped", "us-east-1a")
RUNNING = event(-5, "ec2", "i-1", "running", "us-east-1a")


@pytest.mark.parametrize(
    ("events", "ended_by"),
    [
        ([event(25, "elb", "i-1", "unhealthy", "Target.Timeout")], EndedBy.HEALTH_CHECKS),
        # The checks were first, whatever EC2 says by then.
        ([STOPPED, event(25, "elb", "i-1", "unhealthy")], EndedBy.HEALTH_CHECKS),
        ([event(16, "elb", "i-1", "unused", "Target.InvalidState")], EndedBy.EC2_STATE),
        # The group deregisters what EC2 has stopped or terminated.
        ([RUNNING, STOPPING, event(6, "elb", "i-1", "draining")], EndedBy.EC2_STATE),
        ([RUNNING, STOPPED, event(9, "elb", "i-1", "deregistered")], EndedBy.EC2_STATE),
        (
            [event(2, "ec2", "i-1", "shutting-down"), event(3, "elb", "i-1", "draining")],
            EndedBy.EC2_STATE,
        ),
        (
            [event(2, "ec2", "i-1", "terminated"), event(3, "elb", "i-1", "draining")],
            EndedBy.EC2_STATE,
        ),
        # EC2 ran it, or ran it again, or says so of another, or says so only afterwards.
        ([RUNNING, event(6, "elb", "i-1", "draining")], EndedBy.DEREGISTRATION),
        (
            [STOPPED, event(9, "ec2", "i-1", "running"), event(10, "elb", "i-1", "draining")],
            EndedBy.DEREGISTRATION,
        ),
        (
            [event(1, "ec2", "i-2", "stopped"), event(6, "elb", "i-1", "draining")],
            EndedBy.DEREGISTRATION,
        ),
        ([event(6, "elb", "i-1", "draining"), STOPPED], EndedBy.DEREGISTRATION),
        (
            [event(6, "elb", "i-1", "unused", "Target.NotInUse")],
            EndedBy.DEREGISTRATION,
        ),
        ([event(6, "elb", "i-1", "unavailable", "Target.HealthCheckDisabled")], None),
    ],
)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_balancer_window_tells_what_ended_it(
    events: list[Event], ended_by: EndedBy | None, is_reversed: bool
) -> None:
    later = event(40, "elb", "i-1", "deregistered")
    given = [*events, later][:: -1 if is_reversed else 1]
    window = find_windows(replace(felt(), events=given)).load_balancer
    assert window is not None
    assert window.ended_by is ended_by
    assert window.ends_at == next(each.at for each in events if each.source == "elb")


def test_what_ended_a_window_is_in_its_json_where_it_is_known() -> None:
    window = Window(begins_at=NOON, ends_at=NOON + SECOND, ended_by=EndedBy.EC2_STATE)
    assert window.as_json()["ended_by"] == "ec2_state"
    assert set(replace(window, ended_by=None).as_json()) == {"from", "to", "seconds"}
    found = find_windows(felt())
    assert (found.client, found.autoscaling) != (None, None)
    assert {each.ended_by for each in (found.client, found.autoscaling) if each} == {None}


@pytest.mark.parametrize(
    ("out", "said"),
    [
        (event(25, "elb", "i-1", "unhealthy"), "until health checks took the victim out"),
        (
            event(16, "elb", "i-1", "unused", "Target.InvalidState"),
            "until EC2's state took the victim out",
        ),
        (event(6, "elb", "i-1", "draining"), "until deregistration took the victim out"),
        (event(6, "elb", "i-1", "healthy"), "until it took the victim out"),
    ],
)
def test_the_terminal_says_what_ended_the_window_and_both_causes_to_expect(
    out: Event, said: str, tmp_path: Path
) -> None:
    check = HealthCheck(interval_s=10, timeout_s=5, unhealthy_threshold=3)
    case = replace(felt(), run=run(fault=FAULT, health_check=check), events=[out])
    screen = StringIO()
    render(judge(case), Console(file=screen, width=300), directory=tmp_path)
    assert f"load balancer: {said} " in screen.getvalue()
    assert "timeout: 20 to 35 s; sooner where EC2's state is stopping" in screen.getvalue()


def test_autoscaling_window_is_from_its_first_activity_to_the_last_success() -> None:
    window = find_windows(felt()).autoscaling
    assert window is not None
    assert (window.begins_at - NOON, window.seconds) == (28 * SECOND, 17.0)


def test_autoscaling_window_of_what_was_still_in_progress_at_the_end_is_not_known() -> None:
    more = event(50, "asg", "act-2", "InProgress")
    case = replace(felt(), events=[*(felt().events or ()), more])
    assert find_windows(case).autoscaling is None
    over = replace(case, events=[*(case.events or ()), event(55, "asg", "act-2", "Failed")])
    assert find_windows(over).autoscaling is not None


def test_without_a_fault_or_its_traces_there_is_no_window() -> None:
    for case in (
        replace(felt(), run=run()),
        replace(felt(), requests=None, events=None),
        replace(felt(), run=run(fault=replace(FAULT, started_at=None))),
    ):
        found = find_windows(case)
        assert (found.client, found.load_balancer, found.autoscaling) == (None, None, None)


def test_health_check_arithmetic_is_the_load_balancers() -> None:
    check = HealthCheck(interval_s=10, timeout_s=5, unhealthy_threshold=3)
    assert (check.best_s, check.worst_s) == (20, 35)


def test_exposure_counts_orders_in_flight_and_those_on_the_victim() -> None:
    open_at_fault = {"sent_at": NOON - SECOND}
    attempts = [
        acknowledged("before", 1, sent_at=NOON - 9 * SECOND, ended_at=NOON - 8 * SECOND),
        acknowledged("other", 2, **open_at_fault, served_by="i-2"),
        acknowledged("victim", 3, **open_at_fault, served_by="i-1"),
        indeterminate("hidden", **open_at_fault),
        indeterminate("silent", **open_at_fault, ended_at=None),
        indeterminate("made elsewhere", **open_at_fault),
        acknowledged("after", 4, sent_at=NOON + SECOND),
    ]
    rows = [row(8, attempts[3], served_by="i-1"), row(9, attempts[5], served_by="i-2")]
    found = find_exposure(evidence(attempts, rows, run=run(fault=FAULT)))
    assert (found.orders_in_flight_at_fault, found.on_victim) == (5, 3)


@pytest.mark.parametrize("is_reversed", [False, True])
def test_exposure_does_not_depend_on_the_order_of_the_evidence(is_reversed: bool) -> None:
    caught = indeterminate("caught", sent_at=NOON - SECOND, trace_id="Root=1-0-1")
    told = [
        acknowledged(
            f"told-{number}",
            number,
            sent_at=NOON - (9 - number) * SECOND,
            ended_at=NOON - SECOND,
            served_by=server,
            trace_id=f"Root=1-0-{number}",
        )
        for number, server in [(2, "i-1"), (3, "i-2")]  # one after the other at an address
    ]
    lines = [
        alb_line(ANSWERED | {"trace_id": each.trace_id}, target_group_arn="arn:tg")
        for each in (caught, *told)
    ]
    log = BalancerLog.of(lines, wanted={"1-0-1", "1-0-2", "1-0-3"})
    made = indeterminate("made twice", sent_at=NOON - SECOND)
    rows = [row(8, made, served_by="i-1"), row(9, made, served_by="i-2")]
    attempts = [caught, made, *told]
    if is_reversed:
        attempts, rows = attempts[::-1], rows[::-1]
    found = find_exposure(evidence(attempts, rows, run=run(fault=FAULT), balancer=log))
    assert (found.orders_in_flight_at_fault, found.on_victim) == (2, 0)


# --- clocks ---


@examples(250)
@given(
    offset=st.integers(-3600 * SECOND, 3600 * SECOND),
    delays=st.lists(st.tuples(st.integers(0, SECOND), st.integers(0, SECOND)), min_size=5),
    wrong=st.lists(st.integers(10_000 * SECOND, 90_000 * SECOND), max_size=2),
)
def test_clock_offset_is_found_within_its_error_in_spite_of_outliers(
    offset: int, delays: list[tuple[int, int]], wrong: list[int]
) -> None:
    attempts, rows = [], []
    for number, (there, back) in enumerate(delays):
        sent_at = NOON + number * 2 * SECOND
        one = acknowledged(f"a{number}", number, sent_at=sent_at, ended_at=sent_at + there + back)
        attempts.append(one)
        rows.append(row(number, one, created_at=sent_at + there + offset))
    for number, by in enumerate(wrong, start=len(delays)):
        one = acknowledged(f"a{number}", number, sent_at=NOON, ended_at=NOON + 1)
        attempts.append(one)
        rows.append(row(number, one, created_at=NOON + offset + by * (1 + number)))
    clock = measure_clock(findings(attempts, rows))
    assert clock.offset_s is not None
    assert clock.error_s is not None
    assert abs(clock.offset_s - offset / SECOND) <= clock.error_s + 2e-6


def test_an_order_told_again_says_nothing_about_the_clock() -> None:
    first = indeterminate("a1")
    again = acknowledged("a2", 5, order_key="order-a1", sent_at=NOON + 9 * SECOND)
    assert measure_clock(findings([first, again], [row(5, first)])).offset_s is None


def test_without_acknowledged_orders_the_clock_is_unknown() -> None:
    clock = measure_clock(findings([], []))
    assert (clock.offset_s, clock.error_s) == (None, None)
