"""Closing a run makes the same evidence of the same ledgers, however large they are."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.closing import close as closing
from analysis.closing import progress
from analysis.closing.close import add_parquet, close_evidence, complete_part
from analysis.closing.progress import Progress
from analysis.evidence.errors import EvidenceError
from analysis.evidence.ledger import reader as ledger
from analysis.evidence.ledger.line_fields import read_exactly
from analysis.evidence.ledger.line_records import LEDGER_WITH_TAIL, LedgerOpened
from analysis.evidence.ledger.tail import tail_of
from analysis.evidence.records import Outcome
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ATTEMPTS, REQUESTS
from tests.analysis.close_ledgers import in_a_process
from tests.analysis.evidence.ledger.test_reader import sent
from tests.analysis.ledgers import IN_FLIGHT, ORDERS_IN, START, leave_tail, write_ledger

RunMaker = Callable[..., RunDirectory]


@pytest.fixture
def make_run(tmp_path: Path) -> RunMaker:
    def make(*, processes: int = 1, requests: int, **how: Any) -> RunDirectory:
        run = RunDirectory.create(root=tmp_path, experiment="test", at=START)
        run.update_run(started_at="2026-11-23T12:00:00Z", ended_at=None)
        for number in range(processes):
            write_ledger(run.ledger_file(f"p{number}"), requests=requests, seed=number, **how)
        return run

    return make


def test_every_request_and_attempt_is_there_once_in_the_order_of_the_ledgers(
    make_run: RunMaker,
) -> None:
    run = make_run(processes=3, requests=700, is_killed=True)
    close_evidence(run, limit_s=1)
    requests, attempts = list(run.read_table(REQUESTS)), list(run.read_table(ATTEMPTS))
    assert [each.process_id for each in requests] == ["p0"] * 700 + ["p1"] * 700 + ["p2"] * 700
    assert len({each.attempt_id for each in attempts}) == len(attempts) == 3 * 700 // ORDERS_IN
    in_flight = [each for each in attempts if each.ended_at is None]
    assert len(in_flight) == 3 * IN_FLIGHT
    assert {each.outcome for each in in_flight} == {Outcome.INDETERMINATE}
    assert run.read_run()["ledger"]["torn_last_lines"] == 3


def test_reading_quickly_makes_the_bytes_that_reading_exactly_makes(
    make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly, exactly = make_run(requests=3000, is_killed=True), make_run(requests=3000)
    content = quickly.ledger_file("p0").read_bytes()
    hostile = content.replace(b"/products", rb"/pro,d\"\u2713\ud800\r\n", 50)
    for run in (quickly, exactly):
        run.ledger_file("p0").write_bytes(hostile)
    close_evidence(quickly, limit_s=1)
    monkeypatch.setattr(ledger, "read_fields", read_exactly)
    close_evidence(exactly, limit_s=1)
    for name in ("attempts.csv", "requests.csv"):
        assert quickly.path.joinpath(name).read_bytes() == exactly.path.joinpath(name).read_bytes()
    assert len(list(quickly.read_table(REQUESTS))) == 3000


@pytest.mark.parametrize(
    ("requests", "how", "most_mb"),
    # Held in memory, the rows of the first would take 60 MB more, and the attempts of the second
    # (for which no end ever comes) 50 MB more.
    [
        (30_000, {}, 8),
        (25_000, {"orders_in": 1, "order_ends": False, "is_killed": True}, 20),
    ],
    ids=["ordinary", "without ends"],
)
def test_memory_does_not_grow_with_the_ledger(
    make_run: RunMaker, requests: int, how: dict[str, Any], most_mb: float
) -> None:
    small, large = (
        in_a_process("close", make_run(requests=times * requests, **how)) for times in (1, 4)
    )
    assert large.lines > 3.9 * small.lines
    assert large.peak_mb - small.peak_mb < most_mb


def test_a_line_that_never_ends_takes_no_memory(make_run: RunMaker) -> None:
    run = make_run(requests=100)
    with run.ledger_file("p0").open("r+b") as file:
        file.truncate(2**28)  # a hole, as a power cut leaves it
    assert in_a_process("close", run).peak_mb < 128
    assert run.read_run()["ledger"]["torn_last_lines"] == 1
    assert len(list(run.read_table(REQUESTS))) == 100


def test_what_a_killed_closing_left_is_cleared_away(make_run: RunMaker) -> None:
    run = make_run(requests=700)
    for name in ("attempts", "requests"):
        run.path.joinpath(f".{name}.csv.123.part").write_text("half")
    scratch = run.path / ".scratch"
    scratch.mkdir()
    scratch.joinpath("attempts.parquet").write_text("half")
    close_evidence(run, limit_s=1)
    assert {each.name for each in run.path.iterdir()} == {
        *("run.json", "events.csv", "attempts.csv", "requests.csv", "ledger")
    }
    assert len(list(run.read_table(REQUESTS))) == 700


# --- progress ---


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_long_closing_shows_on_a_terminal_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SHOW_EVERY_S", 0)
    terminal = Terminal()
    with Progress(of_bytes=100_000, to=terminal) as shown:
        assert len(list(shown.watch([b"12345"] * 10_000))) == 10_000
        assert "reading the ledgers: 8,192 lines, 41%, " in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_short_closing_shows_nothing() -> None:
    terminal = Terminal()
    with Progress(of_bytes=100_000, to=terminal) as shown:
        assert len(list(shown.watch([b"12345"] * 10_000))) == 10_000
    assert terminal.getvalue() == ""


def test_where_there_is_no_terminal_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SHOW_EVERY_S", 0)
    file = io.StringIO()
    with Progress(of_bytes=100_000, to=file) as shown:
        assert len(list(shown.watch([b"12345"] * 10_000))) == 10_000
    assert file.getvalue() == ""


def test_storing_much_as_parquet_is_told_on_a_terminal(
    make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    run = make_run(requests=700)
    close_evidence(run, limit_s=1)
    monkeypatch.setattr(closing, "_LONG_TO_STORE_BYTES", run.size("attempts.csv"))
    add_parquet(run)
    assert terminal.getvalue() == "\rstoring requests.csv as Parquet\x1b[K\r\x1b[K"


# --- what a killed process left in its ledger's tail ---


def _leave_tail(run: RunDirectory, *, text: bytes = b"", start: bytes | None = None) -> None:
    ledger = run.ledger_file("p0")
    opened = LedgerOpened(version=LEDGER_WITH_TAIL, process_id="p0", at=START)
    ledger.write_bytes(opened.to_line())
    leave_tail(ledger, text, start=start)


def test_attempt_that_only_a_tail_holds_is_in_the_evidence(make_run: RunMaker) -> None:
    run = make_run(processes=0, requests=0)
    _leave_tail(run, text=sent("a").to_line() + b'["sent","torn')
    close_evidence(run, limit_s=1)
    assert [each.attempt_id for each in run.read_table(ATTEMPTS)] == ["a"]
    found = run.read_run()["ledger"]
    assert (found["torn_last_lines"], found["torn_lines"], found["cut_off"]) == (1, 0, 0)


def test_tail_from_before_the_machine_started_is_a_gap(make_run: RunMaker) -> None:
    run = make_run(processes=0, requests=0)
    _leave_tail(run, text=sent("a").to_line(), start=b"an earlier start")
    close_evidence(run, limit_s=1)
    assert not list(run.read_table(ATTEMPTS))
    assert run.read_run()["ledger"]["cut_off"] == 1


def test_ledger_of_which_a_power_cut_left_no_line_is_a_gap(make_run: RunMaker) -> None:
    """Nothing of it is made last in its first second, but attempts are sent."""
    run = make_run(processes=0, requests=0)
    _leave_tail(run, text=sent("a").to_line(), start=b"an earlier start")
    run.ledger_file("p0").write_bytes(b"")
    close_evidence(run, limit_s=1)
    assert run.read_run()["ledger"]["cut_off"] == 1


def test_copy_of_an_incomplete_ledger_is_no_gap_in_those_of_others(make_run: RunMaker) -> None:
    run = make_run(processes=0, requests=0)
    _leave_tail(run)
    tail_of(run.ledger_file("p0")).unlink()  # it is on the worker's own disk
    run.update_run(incomplete_ledgers=["p0"])
    close_evidence(run, limit_s=1)
    assert run.read_run()["ledger"]["cut_off"] == 0


def test_worker_s_own_directory_is_made_ready_to_be_copied(make_run: RunMaker) -> None:
    run = make_run(processes=0, requests=0)
    (run.path / "run.json").unlink()
    _leave_tail(run, text=sent("a").to_line())
    with pytest.raises(EvidenceError, match="is a worker's part of a run"):
        complete_part(run, limit_s=1)
    assert run.ledger_file("p0").read_bytes().endswith(sent("a").to_line())
