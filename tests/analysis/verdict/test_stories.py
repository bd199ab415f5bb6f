"""The story of an order, told in the order of its events."""

from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.evidence.records import Verdict
from analysis.evidence.run_directory import RunDirectory
from analysis.judging.access_log import BalancerLine
from analysis.judging.finding_records import AttemptFinding, Basis
from analysis.verdict.stories import tell
from tests.analysis.histories import NOON, SECOND, attempt, evidence, indeterminate, row, store

GAVE_UP = indeterminate("a", sent_at=NOON, ended_at=NOON + 5 * SECOND, due_at=NOON - 10)
LINE = BalancerLine(
    trace_root="1-a-b",
    received_at=NOON + 1000,
    ended_at=NOON + 5 * SECOND - 1000,
    target="10.0.0.1:80",
    dispatched_at=None,
    status=502,
    target_status=None,
)
MADE = row(7, GAVE_UP, created_at=NOON + 2000, committed_at=NOON + 8 * SECOND, served_by="i-1")
COMMITTED = AttemptFinding(
    attempt=GAVE_UP, verdict=Verdict.COMMITTED, evidence=Basis.KEY, row=MADE, candidates=1
)


def test_a_commit_after_its_customer_gave_up_is_told_as_such() -> None:
    steps = tell(COMMITTED, LINE)
    assert [(step.witness, step.said) for step in steps] == [
        ("client", "order due"),
        ("client", "attempt 1 sent"),
        ("load balancer", "received it"),
        ("load balancer", "chose 10.0.0.1:80; whether it was dispatched is not in the log"),
        ("database", "transaction of order 7 began by i-1"),
        ("load balancer", "ended it with 502; the target had answered nothing"),
        ("client", "saw 502"),
        ("database", "order 7 committed"),
    ]


def test_the_databases_times_are_moved_to_the_clients_clock() -> None:
    times = {step.said: step.at for step in tell(COMMITTED, None, offset_us=1500)}
    assert times["order 7 committed"] == NOON + 8 * SECOND - 1500


def test_what_has_no_time_is_told_last_and_not_left_out() -> None:
    unknown = {"due_at": None, "ended_at": None, "http_status": None}
    vanished = indeterminate("b", error="in_flight_at_stop", **unknown)
    bare = row(7, vanished, created_at=None, committed_at=None, served_by="")
    steps = tell(
        AttemptFinding(
            attempt=vanished, verdict=Verdict.COMMITTED, evidence=Basis.KEY, row=bare, candidates=1
        ),
        None,
    )
    assert [step.said for step in steps] == [
        "attempt 1 sent",
        "never heard of it again (in_flight_at_stop)",
        "order 7 is in the table",
    ]


@pytest.fixture
def stored(tmp_path: Path) -> RunDirectory:
    return store(RunDirectory(tmp_path), evidence([GAVE_UP], [MADE]))


def test_the_verdict_tells_the_orders_that_their_customers_do_not_know_of(
    stored: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["reconcile", str(stored.path)])
    said = capsys.readouterr().out
    assert "Orders in the table that were not acknowledged" in said
    assert "+8.000 s   database   order 7 committed" in said


def test_any_attempts_story_can_be_asked_for(
    stored: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["story", str(stored.path), "a"]) == 0
    said = capsys.readouterr().out
    assert "a: indeterminate, committed" in said
    assert "order 7 committed" in said
    assert main(["story", str(stored.path), "nobody"]) == 64
    assert "no attempt nobody" in capsys.readouterr().err


def test_a_hostile_error_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = attempt("h", GAVE_UP.outcome, error="\x1b[2J\x00")
    stored = store(RunDirectory(tmp_path), evidence([hostile], []))
    assert main(["story", str(stored.path), "h"]) == 0
    assert "\x1b" not in capsys.readouterr().out
