"""A worker's ledger that is not whole accuses nobody, and lets nothing be called held."""

from pathlib import Path

import pytest

from analysis.closing.gathering import gather_ledgers
from analysis.closing.uploaded_ledgers import Segment, Uploaded
from analysis.evidence.ledger.line_records import LedgerClosed, LedgerFindings, LedgerOpened
from analysis.evidence.records import Attempt, Outcome, RunVerdict, Verdict
from analysis.evidence.run import HypothesisTable, Run
from analysis.evidence.run_directory import RunDirectory
from analysis.judging.evidence import Evidence
from analysis.verdict.judge_run import judge
from tests.analysis.histories import (
    SECOND,
    acknowledged,
    evidence,
    indeterminate,
    invariants_of,
    rejected,
    request,
    row,
    run,
    unsent,
)
from tests.analysis.ledgers import leave_tail

HELD, UNDECIDED, BROKEN = RunVerdict.HELD, RunVerdict.UNDECIDED, RunVerdict.BROKEN
A, B = acknowledged("a", 1), indeterminate("b")
STRANGER = row(3, indeterminate("stranger"))
WHOLE = run()
TORN = run(ledger=LedgerFindings(torn_lines=1))


def incomplete(*names: str) -> Run:
    return run(incomplete_ledgers=names)


def test_a_row_nobody_ordered_may_be_that_of_a_worker_whose_ledger_is_not_whole() -> None:
    case = evidence([A], [row(1, A), STRANGER], run=incomplete("host-2"))
    found = {each.id: each for each in judge(case).invariants}["nothing-unexpected"]
    assert found.verdict is UNDECIDED
    assert "order 3" in found.detail
    assert "the ledger of worker host-2 is not whole" in found.detail
    assert invariants_of(evidence([A], [row(1, A), STRANGER]))["nothing-unexpected"] is BROKEN


def test_nothing_is_held_where_a_ledger_is_not_whole() -> None:
    case = evidence([A, B], [row(1, A), row(2, B)], run=incomplete("host-2"))
    assert set(invariants_of(case).values()) == {UNDECIDED}


def test_a_proof_stands_where_a_ledger_is_not_whole() -> None:
    case = evidence([A, B], [row(2, B), row(4, B)], run=incomplete("p1"))
    found = invariants_of(case)
    assert (found["durability"], found["exactly-once"]) == (BROKEN, BROKEN)


def test_many_ledgers_that_are_not_whole_are_counted() -> None:
    case = evidence([A], [row(1, A)], run=incomplete("p1", "p2", "p3", "p4", "p5"))
    assert judge(case).invariants[0].detail.endswith("p3 is not whole; nor are 2 more")
    case = evidence([A], [row(1, A)], run=incomplete("p1", "p2", "p3"))
    assert judge(case).invariants[0].detail.endswith("p3 is not whole")


# --- a retry may be what the ledger lacks ---


def _made_by_a_missing_retry(first: Attempt, attempt_id: str, of: Run) -> Evidence:
    """The row of `first`'s order, made by a second attempt with the same key."""
    made = row(2, first, attempt_id=attempt_id)
    return evidence([A, first], [row(1, A), made], run=of)


@pytest.mark.parametrize("attempt_id", ["", "retry"], ids=["key alone", "attempt unknown"])
@pytest.mark.parametrize("first", [rejected("no"), unsent("no")], ids=["rejected", "unsent"])
@pytest.mark.parametrize(
    ("of", "verdict"),
    [
        (WHOLE, BROKEN),
        (incomplete("another process"), BROKEN),
        (incomplete("p1"), UNDECIDED),
        (TORN, UNDECIDED),
        (run(ledger=LedgerFindings(unmatched_ends=1)), UNDECIDED),
        (run(ledger=LedgerFindings(cut_off=1)), UNDECIDED),
    ],
    ids=["whole", "another's is not", "its own is not", "torn", "an end alone", "cut off"],
)
def test_a_refused_attempt_is_not_accused_of_what_a_missing_retry_may_have_done(
    attempt_id: str, first: Attempt, of: Run, verdict: RunVerdict
) -> None:
    assert invariants_of(_made_by_a_missing_retry(first, attempt_id, of))["definite-no"] is verdict


def test_an_attempt_is_not_said_to_have_committed_what_a_missing_retry_may_have() -> None:
    def verdict_of_b(of: Run) -> Verdict | None:
        findings = judge(_made_by_a_missing_retry(B, "", of)).findings.attempts
        return next(each.verdict for each in findings if each.attempt is B)

    assert verdict_of_b(WHOLE) is Verdict.COMMITTED
    assert verdict_of_b(incomplete("p1")) is Verdict.POSSIBLE


def test_a_row_that_bears_an_attempts_own_id_is_a_proof_all_the_same() -> None:
    refused = rejected("no")
    case = evidence([A, refused], [row(1, A), row(2, refused)], run=incomplete("p1"))
    assert invariants_of(case)["definite-no"] is BROKEN


# --- hypotheses ---


@pytest.mark.parametrize(
    ("measure", "at_most", "verdict"),
    [
        ("failed_requests", 0, BROKEN),  # one failed: more may have, fewer cannot
        ("failed_requests", 1, UNDECIDED),
        ("failure_share", 1, UNDECIDED),
        ("longest_gap_s", 3600, UNDECIDED),
        ("longest_gap_s", 0, UNDECIDED),
    ],
)
def test_what_is_measured_from_requests_may_lack_some(
    measure: str, at_most: float, verdict: RunVerdict
) -> None:
    table = HypothesisTable(
        id="h", statement="", measure=measure, at_most=at_most, at_least=None, requests=()
    )
    failed = request(http_status=502, ended_at=WHOLE.started_at + 2 * SECOND)  # type: ignore[operator]
    case = evidence(
        [A],
        [row(1, A)],
        run=run(hypotheses=(table,), incomplete_ledgers=("p1",)),
        requests=[request(), failed],
    )
    assert judge(case).hypotheses[0].verdict is verdict


# --- what is gathered ---

OPENED = LedgerOpened(process_id="p", at=1).to_line()
CLOSED = LedgerClosed(at=2).to_line()


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(root=tmp_path, experiment="test", at=1)


def test_a_ledger_that_has_its_last_line_is_whole(directory: RunDirectory) -> None:
    for name, content in {
        "whole": OPENED + CLOSED,
        "cut": OPENED + CLOSED[:-1],
        "open": OPENED * 20,
        "bare": CLOSED,
        "empty": b"",
    }.items():
        directory.write_ledger(name, [content])
    listed = ["bare", "cut", "empty", "missing", "open", "whole", "../whole"]
    directory.update_run(incomplete_ledgers=listed)
    gather_ledgers(directory, limit_s=0)
    left = directory.read_run()["incomplete_ledgers"]
    assert left == ["../whole", "cut", "empty", "missing", "open"]


def test_a_killed_worker_s_ledger_is_whole_with_its_tail(directory: RunDirectory) -> None:
    for name, is_here in {"here": True, "elsewhere": False}.items():
        directory.write_ledger(name, [OPENED])
        leave_tail(directory.ledger_file(name), start=None if is_here else b"another start")
    directory.update_run(incomplete_ledgers=["here", "elsewhere", "without"])
    gather_ledgers(directory, limit_s=0)
    assert directory.read_run()["incomplete_ledgers"] == ["elsewhere", "without"]


def test_a_run_on_one_disk_names_no_ledgers(directory: RunDirectory) -> None:
    directory.update_run(settings={"evidence_uri": "s3://bucket"})
    gather_ledgers(directory, limit_s=0)
    assert "incomplete_ledgers" not in directory.read_run()


def test_segments_count_up_to_the_first_that_is_missing() -> None:
    def segment(start: int, size: int) -> Segment:
        return Segment(start=start, size=size, key=str(start))

    pieces = [segment(300, 5), segment(0, 100), segment(100, 50), segment(250, 50)]
    found = Uploaded(segments=pieces, is_closed=True).without_gaps()
    assert [each.start for each in found] == [0, 100]


def test_an_outcome_is_not_changed_by_a_ledger_that_is_not_whole() -> None:
    judgement = judge(evidence([A, B], [row(1, A)], run=incomplete("p1")))
    assert judgement.findings.count_outcome(Outcome.ACKNOWLEDGED) == 1
    assert judgement.findings.count(Verdict.CONFIRMED) == 1
