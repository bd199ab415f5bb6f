"""What is seen of requests while they come: buckets of a process, and the sum of all processes."""

import pytest

from analysis.evidence.ledger.line_records import AttemptSent
from analysis.evidence.records import Outcome
from harness.customers.outcome import Conclusion
from harness.record.counts_by_second import LiveCounts
from harness.record.reported_counts import KEPT_S, LiveFleet

AT = 1_700_000_000
UNKNOWN = Conclusion(outcome=Outcome.INDETERMINATE, http_status=502)


def at(seconds: float) -> int:
    """Microseconds, so many seconds after the run began."""
    return round((AT + seconds) * 1_000_000)


def attempt(name: str, *, sent_s: float | None = 0.0) -> AttemptSent:
    return AttemptSent(
        attempt_id=f"attempt-{name}",
        order_key=f"key-{name}",
        attempt_no=1,
        user_id="1-1",
        product_id=1,
        quantity=1,
        due_at=None,
        sent_at=None if sent_s is None else at(sent_s),
        trace_id="",
    )


def test_an_attempt_is_open_until_it_ends() -> None:
    live, fleet = LiveCounts(run_id="run"), LiveFleet(run_id="run")
    live.sent()
    live.sent()
    live.ended(
        attempt("1"), Conclusion(outcome=Outcome.ACKNOWLEDGED, http_status=201), ended_at=at(0.1)
    )
    fleet.take("local", live.report())
    orders = fleet.orders()
    assert (orders["total"], orders["open"], orders["acknowledged"]) == (2, 1, 1)


def test_doubts_are_kept_by_cause_in_the_summarys_words() -> None:
    live, fleet = LiveCounts(run_id="run"), LiveFleet(run_id="run")
    for name, conclusion in {
        "1": UNKNOWN,
        "2": Conclusion(outcome=Outcome.INDETERMINATE, error="timeout"),
        "3": Conclusion(outcome=Outcome.INDETERMINATE, http_status=200, error="bad_reply"),
        "4": Conclusion(outcome=Outcome.INDETERMINATE, http_status=202),
    }.items():
        live.ended(attempt(name), conclusion, ended_at=at(1))
    fleet.take("local", live.report())
    assert fleet.orders()["causes"] == {"502": 1, "accepted": 1, "bad_reply": 1, "timeout": 1}
    assert fleet.doubts["attempt-1"].order_key == "key-1"


def test_seconds_of_two_processes_and_of_late_reports_add_up() -> None:
    fleet = LiveFleet(run_id="run")
    for name in ("one", "two"):
        live = LiveCounts(run_id="run")
        live.request("", sent_at=at(1.0), ended_at=at(1.1))
        fleet.take(name, live.report())
        live.request("timeout", sent_at=at(1.0), ended_at=at(1.9))
        fleet.take(name, live.report())
    [second] = fleet.seconds(since=0)
    assert (second["at"], second["requests"], second["failures"]) == (AT + 1, 4, {"timeout": 2})
    assert second["longest_ms"] == pytest.approx(900)


def test_totals_of_a_report_that_is_repeated_count_once() -> None:
    live, fleet = LiveCounts(run_id="run"), LiveFleet(run_id="run")
    live.sent()
    fleet.take("one", live.report())
    fleet.take("one", live.report())
    assert fleet.orders()["total"] == 1


def test_a_report_of_another_run_is_ignored() -> None:
    live, fleet = LiveCounts(run_id="before"), LiveFleet(run_id="run")
    live.sent()
    live.request("", sent_at=at(0), ended_at=at(0))
    fleet.take("one", live.report())
    assert fleet.orders()["total"] == 0
    assert fleet.seconds(since=0) == []


def test_percentiles_are_right_to_within_five_percent() -> None:
    live, fleet = LiveCounts(run_id="run"), LiveFleet(run_id="run")
    for took_ms in range(10, 1010):
        live.request("", sent_at=at(5) - took_ms * 1000, ended_at=at(5))
    fleet.take("local", live.report())
    [second] = fleet.seconds(since=0)
    assert second["p50_ms"] == pytest.approx(509, rel=0.05)
    assert second["p95_ms"] == pytest.approx(959, rel=0.05)


def test_an_order_that_was_never_sent_is_a_failure_and_no_request() -> None:
    live, fleet = LiveCounts(run_id="run"), LiveFleet(run_id="run")
    turned_away = Conclusion(outcome=Outcome.UNSENT, error="too_many_open")
    live.sent()
    live.ended(attempt("1", sent_s=None), turned_away, ended_at=at(2))
    fleet.take("local", live.report())
    [second] = fleet.seconds(since=0)
    assert (second["requests"], second["failures"]) == (0, {"too_many_open": 1})
    assert fleet.orders()["open"] == 0


def test_a_shop_that_thinks_up_failures_does_not_fill_the_memory() -> None:
    live, fleet = LiveCounts(run_id="run"), LiveFleet(run_id="run")
    for number in range(1000):
        live.request(f"failure {number}", sent_at=at(0), ended_at=at(0.5))
    fleet.take("local", live.report())
    failures = fleet.seconds(since=0)[0]["failures"]
    assert sum(failures.values()) == 1000
    assert len(failures) < 50


def test_only_what_may_have_changed_is_told_again_and_the_oldest_are_forgotten() -> None:
    live, fleet = LiveCounts(run_id="run"), LiveFleet(run_id="run")
    for second in range(KEPT_S + 50):
        live.request("", sent_at=at(second), ended_at=at(second))
    fleet.take("local", live.report())
    assert len(fleet.seconds(since=0)) == KEPT_S
    newest = AT + KEPT_S + 49
    assert fleet.seconds(since=newest)[-1]["at"] == newest
    assert len(fleet.seconds(since=newest)) < 30
