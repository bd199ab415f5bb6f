"""Latency from due and from sending: what is measured, and what is only a least."""

import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.records import Attempt, Outcome
from analysis.measures.latency import Spread, measure_latency

SECOND = 1_000_000
ENDED_AT = 1000 * SECOND


def attempt(
    *,
    due_s: float | None = None,
    sent_s: float | None = 0.0,
    ended_s: float | None = 1.0,
    error: str = "",
) -> Attempt:
    return Attempt(
        attempt_id="a",
        order_key="k",
        attempt_no=1,
        user_id="u",
        process_id="p",
        product_id=1,
        quantity=1,
        due_at=_at(due_s),
        sent_at=_at(sent_s),
        ended_at=_at(ended_s),
        outcome=Outcome.INDETERMINATE if error else Outcome.ACKNOWLEDGED,
        http_status=None,
        error=error,
        order_id=None,
        served_by="",
        trace_id="",
    )


def test_time_in_the_queue_counts_from_due_and_not_from_sending() -> None:
    latency = measure_latency([attempt(due_s=1, sent_s=4, ended_s=5)], ended_at=ENDED_AT)
    assert _spread(latency.from_due).p50_s == 4
    assert latency.from_sent.p50_s == 1


def test_without_a_due_time_there_is_only_the_time_from_sending() -> None:
    latency = measure_latency([attempt(sent_s=4, ended_s=5)], ended_at=ENDED_AT)
    assert latency.from_due is None
    assert latency.from_sent.max_s == 1
    assert asdict(latency)["from_due"] is None


def test_retry_that_was_due_at_no_time_is_in_neither_where_others_were_due() -> None:
    due, retry = attempt(due_s=0, sent_s=0, ended_s=1), attempt(sent_s=2, ended_s=9)
    latency = measure_latency([due, retry], ended_at=ENDED_AT)
    assert _spread(latency.from_due).count == latency.from_sent.count == 1


def test_nothing_was_ordered_and_nothing_is_measured() -> None:
    spread = measure_latency([], ended_at=None).from_sent
    assert (spread.count, spread.p50_s, spread.max_s) == (0, None, None)


def test_order_never_sent_counts_until_the_run_ended_and_is_said_to_be_longer() -> None:
    quick = [attempt(due_s=each, sent_s=each, ended_s=each + 1) for each in range(99)]
    never = attempt(due_s=100, sent_s=None, ended_s=100, error="too_many_open")
    latency = measure_latency([*quick, never], ended_at=ENDED_AT)
    from_due = _spread(latency.from_due)
    assert (from_due.count, from_due.open, from_due.max_s) == (100, 1, 900)
    assert from_due.p99_s == 1
    assert from_due.at_least == ("max_s",)
    assert latency.from_sent.count == 99
    assert latency.from_sent.at_least == ()


def test_orders_turned_away_move_all_percentiles_and_however_late_they_came() -> None:
    quick = [attempt(due_s=0, sent_s=0, ended_s=1) for _ in range(40)]
    never = [attempt(due_s=999, sent_s=None, ended_s=999, error="too_many_open") for _ in range(60)]
    from_due = _spread(measure_latency([*quick, *never], ended_at=ENDED_AT).from_due)
    assert from_due.at_least == ("p50_s", "p95_s", "p99_s", "max_s")


@pytest.mark.parametrize("error", ["in_flight_at_stop", "run_stopping"])
def test_order_cut_off_at_once_by_the_stop_says_next_to_nothing(error: str) -> None:
    longer = [attempt(due_s=0, sent_s=0, ended_s=2) for _ in range(9)]
    cut = attempt(due_s=999.9, sent_s=999.9, ended_s=1000, error=error)
    from_due = _spread(measure_latency([cut, *longer], ended_at=ENDED_AT).from_due)
    assert (from_due.p50_s, from_due.p99_s, from_due.open) == (2, 2, 1)
    assert from_due.at_least == ("max_s",)


def test_attempt_without_an_end_counts_until_the_run_ended() -> None:
    spread = measure_latency([attempt(ended_s=None)], ended_at=7 * SECOND).from_sent
    assert (spread.max_s, spread.open) == (7, 1)


TIMES = st.lists(st.tuples(st.integers(0, 1000), st.booleans()), min_size=1, max_size=60)


def percentiles(times: list[tuple[int, bool]]) -> tuple[Spread, list[tuple[str, float | None]]]:
    attempts = [
        attempt(sent_s=0, ended_s=seen, error="in_flight_at_stop" if is_cut else "")
        for seen, is_cut in times
    ]
    spread = measure_latency(attempts, ended_at=ENDED_AT).from_sent
    return spread, [("p50_s", spread.p50_s), ("p95_s", spread.p95_s), ("p99_s", spread.p99_s)]


def nearest_rank(times: list[float], name: str) -> float:
    return sorted(times)[math.ceil(int(name[1:3]) / 100 * len(times)) - 1]


@given(TIMES)
def test_without_cut_off_orders_a_percentile_is_the_nearest_rank(
    times: list[tuple[int, bool]],
) -> None:
    spread, found = percentiles([(seen, False) for seen, _ in times])
    assert spread.at_least == ()
    for name, value in found:
        assert value == nearest_rank([seen for seen, _ in times], name)


@given(TIMES)
def test_percentile_is_between_what_it_is_if_the_cut_off_ended_then_and_if_never(
    times: list[tuple[int, bool]],
) -> None:
    spread, found = percentiles(times)
    for name, value in found:
        assert value is not None
        assert value >= nearest_rank([seen for seen, _ in times], name)
        if name not in spread.at_least:
            assert value <= nearest_rank([math.inf if cut else seen for seen, cut in times], name)
        else:
            assert value == max(seen for seen, _ in times)
            assert any(cut for _, cut in times)


def _at(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * SECOND)


def _spread(spread: Spread | None) -> Spread:
    assert spread is not None
    return spread
