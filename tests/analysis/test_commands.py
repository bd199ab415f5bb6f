"""The commands as others call them: exit codes, one line of error, the same bytes every time."""

import fcntl
import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import __main__ as command
from analysis.evidence.ledger.line_records import AttemptEnded, AttemptSent, LedgerOpened
from analysis.evidence.records import Outcome, parse_time
from analysis.evidence.run import Settle
from analysis.evidence.run_directory import BEFORE_FILE, RunDirectory
from analysis.terminal import commands
from analysis.verdict.summary import RECONCILIATION_COLUMNS
from tests.analysis.histories import (
    NOON,
    SECOND,
    acknowledged,
    evidence,
    indeterminate,
    placed_before,
    rejected,
    row,
    run,
    store,
)
from tests.analysis.ledgers import leave_tail

AT = parse_time("2026-11-23T12:00:00Z")
A, B, C = acknowledged("a", 1), indeterminate("b"), rejected("c")


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("CHAOS_SHOP_DEBUG", raising=False)


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(root=tmp_path, experiment="test", at=AT)


@pytest.fixture
def good(directory: RunDirectory) -> RunDirectory:
    return store(directory, evidence([A, B, C], [row(1, A), row(2, B)]))


def summary_of(directory: RunDirectory) -> dict[str, object]:
    content = json.loads(directory.path.joinpath("summary.json").read_text())
    assert isinstance(content, dict)
    return content


def files_of(directory: RunDirectory) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in directory.path.iterdir() if each.is_file()}


def call(*arguments: object) -> int:
    return command.main([str(each) for each in arguments])


# --- reconcile ---


def test_a_good_run_exits_0_and_shows_its_verdict(
    good: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("reconcile", good.path) == 0
    shown = capsys.readouterr().out
    assert "HELD" in shown
    words = " ".join(shown.replace("│", "").split())
    assert "1 order, whose customer was told that it failed, or nothing, is in the table" in words
    assert "1 piece, 19.99 in goods" in words
    assert "\x1b" not in shown


def test_nothing_is_on_stderr_where_all_went_well(good: RunDirectory) -> None:
    """Not even what libraries print as the process ends: those who start us read it as trouble."""
    path = str(good.path)
    assert call("reconcile", path) == 0
    commands = (
        *(["reconcile", path], ["finish", path], ["report", path], ["story", path, "a"]),
        *(["compare", path, path], ["runs", str(good.path.parent)]),
    )
    for each in commands:
        ended = subprocess.run(
            [sys.executable, "-m", "analysis", *each], capture_output=True, check=False, timeout=60
        )
        assert (each[0], ended.returncode, ended.stderr) == (each[0], 0, b"")
        assert ended.stdout


def test_a_lost_order_exits_1(directory: RunDirectory) -> None:
    store(directory, evidence([A, B], [row(2, B)]))
    assert call("reconcile", directory.path) == 1
    assert summary_of(directory)["verdict"] == "broken"


def test_an_unsettled_database_exits_2(directory: RunDirectory) -> None:
    flawed = run(settle=Settle(settled=False, waited_s=30.0))
    store(directory, evidence([A], [row(1, A)], run=flawed))
    assert call("reconcile", directory.path) == 2


def test_fail_on_never_always_exits_0(directory: RunDirectory) -> None:
    store(directory, evidence([A], []))
    assert call("reconcile", directory.path, "--fail-on", "never") == 0
    assert summary_of(directory)["verdict"] == "broken"


def test_hypotheses_count_only_when_asked(good: RunDirectory) -> None:
    false_belief = {"id": "h", "statement": "s", "measure": "invariants_broken", "at_least": 1}
    good.update_run(hypotheses=[false_belief])
    assert call("reconcile", good.path) == 0
    assert call("reconcile", good.path, "--fail-on", "hypothesis") == 1
    assert summary_of(good)["hypotheses"] == [
        {
            "id": "h",
            "statement": "s",
            "verdict": "broken",
            "measured": 0,
            "tolerated": {"at_least": 1},
        }
    ]


def test_the_same_evidence_gives_the_same_bytes(good: RunDirectory) -> None:
    results = []
    for _ in range(2):
        call("reconcile", good.path)
        results.append(
            [
                good.path.joinpath(each).read_bytes()
                for each in ("summary.json", "reconciliation.csv")
            ]
        )
    assert results[0] == results[1]


def orders_of(directory: RunDirectory) -> dict[str, int | None]:
    orders = summary_of(directory)["orders"]
    assert isinstance(orders, dict)
    return orders


def test_reconciliation_has_every_attempt_and_every_wrong_row(directory: RunDirectory) -> None:
    stranger = row(3, replace(B, attempt_id="x", order_key="y"))
    store(directory, evidence([A, B, C], [row(1, A), row(2, B), stranger]))
    assert call("reconcile", directory.path) == 1
    assert directory.path.joinpath("reconciliation.csv").read_text().splitlines() == [
        ",".join(RECONCILIATION_COLUMNS),
        "attempt,a,order-a,1,1,1,acknowledged,201,,confirmed,order_id,1,,,,",
        "attempt,b,order-b,2,1,1,indeterminate,502,,committed,key,1,,,,",
        "attempt,c,order-c,,1,1,rejected,409,,clean,key,0,,,,",
        "row,x,y,3,1,1,,,,unexpected,key,,,,,",
    ]


def test_without_keys_the_summary_says_how_many_rows_open_attempts_account_for(
    directory: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    open_too = indeterminate("d", product_id=2)
    told, its = placed_before("a", 1)
    store(directory, evidence([told, B, open_too], [its, row(2)]))
    assert call("reconcile", directory.path) == 2
    assert "inferred from product, quantity and time" in " ".join(capsys.readouterr().out.split())
    summary = summary_of(directory)
    assert summary["method"] == "inferred"
    assert orders_of(directory)["committed_total"] == 1
    assert "late_window_s" not in summary
    lines = directory.path.joinpath("reconciliation.csv").read_text().splitlines()
    assert lines[1:] == [
        "attempt,a,order-a,1,1,1,acknowledged,201,,confirmed,order_id,1,,,,",
        "attempt,b,order-b,2,1,1,indeterminate,502,,committed,inferred,1,,,,",
        "attempt,d,order-d,,2,1,indeterminate,502,,absent,inferred,0,,,,",
    ]


@pytest.mark.parametrize("command", ["reconcile", "finish"])
def test_a_late_window_narrows_what_is_possible_and_is_on_record(
    directory: RunDirectory, command: str
) -> None:
    early, late = indeterminate("early"), indeterminate("late", ended_at=NOON + 50 * SECOND)
    its = row(2, created_at=NOON + 40 * SECOND)
    store(directory, evidence([A, early, late], [row(1), its]))
    assert call("reconcile", directory.path) == 2
    assert orders_of(directory)["possible"] == 2
    assert call(command, directory.path, "--late-window", "2.5") == 2
    orders = orders_of(directory)
    assert (orders["committed"], orders["absent"]) == (1, 1)
    assert summary_of(directory)["late_window_s"] == 2.5


def test_reconciliation_has_the_contracts_columns() -> None:
    assert ", ".join(RECONCILIATION_COLUMNS) == (
        "kind, attempt_id, order_key, order_id, product_id, quantity, outcome, http_status, "
        "error, verdict, evidence, candidates, balancer_status, target, target_status, "
        "committed_at"
    )


def test_summary_is_as_the_contract_has_it(good: RunDirectory) -> None:
    call("reconcile", good.path)
    summary = summary_of(good)
    assert summary["attempts"] == {
        "total": 3,
        "acknowledged": 1,
        "rejected": 1,
        "indeterminate": 1,
        "unsent": 0,
    }
    assert summary["indeterminate_by_cause"] == {"502": 1}
    assert summary["committed_by_cause"] == {"502": 1}
    hidden = {"count": 1, "pieces": 1, "value": "19.99", "answered": 0}
    assert summary["unacknowledged_orders"] == hidden
    assert summary["orders"] == {
        "rows": 2,
        "confirmed": 1,
        "lost": 0,
        "altered": 0,
        "clean": 1,
        "contradicted": 0,
        "committed": 1,
        "absent": 0,
        "possible": 0,
        "duplicate": 0,
        "unexpected": 0,
    }
    assert summary["settle"] == {"settled": True, "waited_s": 0.5, "open_transactions": []}
    assert summary["fault"] is None
    assert summary["windows"] == {"client": None, "load_balancer": None, "autoscaling": None}
    assert list(summary) == [
        *("run_id", "verdict", "exit_code", "attempts", "indeterminate_by_cause", "orders"),
        *("committed_by_cause", "unacknowledged_orders", "method", "invariants", "hypotheses"),
        *("fault", "faults", "exposure", "windows", "clock", "settle", "latency"),
    ]


def test_without_orders_the_counts_are_unknown_and_not_zero(directory: RunDirectory) -> None:
    store(directory, evidence([A, B], None))
    assert call("reconcile", directory.path) == 2
    orders = summary_of(directory)["orders"]
    assert isinstance(orders, dict)
    assert (orders["rows"], orders["lost"], orders["possible"]) == (None, None, 1)


def test_a_damaged_file_that_is_only_helpful_does_not_stop_the_judging(
    good: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    good.path.joinpath("requests.csv").write_text("nonsense")
    assert call("reconcile", good.path) == 0
    assert "requests.csv" in capsys.readouterr().out


def test_what_others_wrote_cannot_steer_the_terminal(
    directory: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    nasty = indeterminate("b", http_status=None, error="[bold]\x1b[2Jx\u202e")
    store(directory, evidence([A, nasty], [row(1, A)]))
    call("reconcile", directory.path)
    shown = capsys.readouterr().out
    assert "[bold]\\x1b[2Jx\\u202e" in shown
    assert "\x1b" not in shown


# --- errors ---


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["reconcile"],
        ["reconcile", "/nowhere"],
        ["reconcile", "{run}", "--method", "guess"],
        ["reconcile", "{run}", "--fail-on", "mondays"],
        ["reconcile", "{run}", "--late-window", "soon"],
        ["reconcile", "{run}", "--late-window", "-1"],
        ["reconcile", "{run}", "--late-window", "nan"],
        ["reconcile", "{run}", "--late-window", "inf"],
        ["reconcile", "{run}", "--bogus"],
        ["snapshot", "{run}"],
        ["snapshot", "{run}", "--before"],
        ["snapshot", "{run}", "--before", "--after"],
        ["finish", "{run}", "--settle-limit", "soon"],
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_one_line_and_64(
    good: RunDirectory, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert call(*(each.replace("{run}", str(good.path)) for each in arguments)) == 64
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("analysis: ")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("name", ["run.json", "attempts.csv", "orders.csv", "products.csv"])
def test_unreadable_evidence_is_64_and_named(
    good: RunDirectory, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    good.path.joinpath(name).write_text("nonsense")
    assert call("reconcile", good.path) == 64
    shown = capsys.readouterr().err
    assert name in shown
    assert shown.count("\n") == 1


def saved_otherwise(content: bytes) -> dict[str, bytes]:
    return {
        "is empty": b"",
        "is UTF-16, as PowerShell's > writes it; save it as UTF-8": content.decode().encode(
            "utf-16"
        ),
        "is not UTF-8; save it as UTF-8": content + b"\xe9",
    }


@pytest.mark.parametrize("name", ["run.json", "attempts.csv", "orders.csv", "products.csv"])
@pytest.mark.parametrize("said", saved_otherwise(b""))
def test_a_file_that_was_saved_in_another_way_is_named_with_the_way_out(
    good: RunDirectory, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    file = good.path / name
    file.write_bytes(saved_otherwise(file.read_bytes())[said])
    assert call("reconcile", good.path) == 64
    shown = capsys.readouterr().err
    assert f"{file} {said}" in shown
    assert shown.count("\n") == 1


def test_a_byte_order_mark_is_no_trouble(good: RunDirectory) -> None:
    for name in ("run.json", "attempts.csv", "orders.csv", "products.csv"):
        file = good.path / name
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert call("reconcile", good.path) == 0


@pytest.mark.parametrize(
    "summary",
    [
        "[]",
        '{"attempts": "x"}',
        '{"orders": {"lost": "many"}}',
        '{"windows": {"client": {"from": "noon", "to": "soon", "seconds": 1}}}',
        '{"clock": {"offset_s": NaN}}',
        '{"clock": {"offset_s": 1e999}}',
        '{"faults": [1], "attempts": "x"}',
    ],
)
def test_a_summary_that_makes_no_sense_is_64_and_a_list_goes_on(
    good: RunDirectory, capsys: pytest.CaptureFixture[str], summary: str
) -> None:
    (good.path / "summary.json").write_text(summary)
    assert call("compare", good.path, good.path) == 64
    shown = capsys.readouterr()
    assert "summary.json" in shown.err
    assert shown.err.count("\n") == 1
    assert call("runs", good.path.parent, "--json") == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["verdict"] == ""


def test_a_folder_in_the_place_of_a_file_is_64_and_named(
    good: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    (good.path / "summary.json").mkdir()
    assert call("reconcile", good.path) == 64
    shown = capsys.readouterr().err
    assert shown == f"analysis: {good.path / 'summary.json'}: Is a directory\n"


def test_evidence_that_cannot_be_judged_keeps_no_older_verdict(good: RunDirectory) -> None:
    assert call("reconcile", good.path) == 0
    good.path.joinpath("orders.csv").write_text("id,quantity\n1,one\n")
    assert call("reconcile", good.path) == 64
    assert not good.path.joinpath("summary.json").exists()
    assert not good.path.joinpath("reconciliation.csv").exists()


@pytest.mark.parametrize("name", ["run.json", "attempts.csv"])
def test_missing_evidence_is_64_and_named(
    good: RunDirectory, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    good.path.joinpath(name).unlink()
    assert call("reconcile", good.path) == 64
    assert f"{name} is missing" in capsys.readouterr().err


def test_a_fault_of_ours_is_one_line_and_70_with_a_traceback_only_when_asked(
    good: RunDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_arguments: object, **_more: object) -> None:
        message = "boom"
        raise RuntimeError(message)

    monkeypatch.setattr(commands, "judge_run", crash)
    assert call("reconcile", good.path) == 70
    assert capsys.readouterr().err == "analysis: a fault of ours: RuntimeError: boom\n"
    monkeypatch.setenv("CHAOS_SHOP_DEBUG", "1")
    assert call("reconcile", good.path) == 70
    assert "Traceback" in capsys.readouterr().err


def test_control_c_is_one_line_and_130(
    good: RunDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "judge_run", interrupt)
    assert call("reconcile", good.path) == 130
    assert capsys.readouterr().err.count("\n") == 1


# --- finish ---


def sent(name: str) -> bytes:
    return AttemptSent(
        attempt_id=name,
        order_key=f"order-{name}",
        attempt_no=1,
        user_id="u",
        product_id=1,
        quantity=1,
        due_at=None,
        sent_at=AT + 1,
        trace_id="",
    ).to_line()


def ended(name: str, order_id: int) -> bytes:
    return AttemptEnded(
        attempt_id=name,
        ended_at=AT + 2,
        outcome=Outcome.ACKNOWLEDGED,
        http_status=201,
        error="",
        order_id=order_id,
        served_by="i-1",
        bytes=9,
    ).to_line()


def killed(directory: RunDirectory) -> RunDirectory:
    """A run whose load generator died in the middle of a line."""
    directory.update_run(started_at="2026-11-23T12:00:00Z", ended_at=None, interrupted=False)
    opened = LedgerOpened(process_id="p1", at=AT).to_line()
    whole = opened + sent("a") + sent("b") + ended("a", 1) + ended("b", 2)
    directory.ledger_file("p1").write_bytes(whole[:-5])
    return directory


def test_finish_closes_the_evidence_of_a_killed_run(directory: RunDirectory) -> None:
    killed(directory)
    assert call("finish", directory.path) == 2
    ended_run = directory.read_run()
    assert ended_run["ended_at"] == "2026-11-23T12:00:00.000002Z"
    assert ended_run["interrupted"] is True
    assert ended_run["ledger"]["torn_last_lines"] == 1
    assert ended_run["ledger"]["open_attempts"] == 1
    summary = summary_of(directory)
    assert summary["indeterminate_by_cause"] == {"in_flight_at_stop": 1}
    assert len(directory.path.joinpath("requests.csv").read_text().splitlines()) == 3


def test_finish_again_changes_nothing(directory: RunDirectory) -> None:
    killed(directory)
    call("finish", directory.path)
    before = {each: each.read_bytes() for each in directory.path.iterdir() if each.is_file()}
    call("finish", directory.path)
    assert {
        each: each.read_bytes() for each in directory.path.iterdir() if each.is_file()
    } == before


def test_finish_never_rewrites_attempts(good: RunDirectory) -> None:
    before = good.path.joinpath("attempts.csv").read_bytes()
    good.ledger_file("p1").write_bytes(LedgerOpened(process_id="p1", at=AT).to_line() + sent("z"))
    assert call("finish", good.path) == 0
    assert good.path.joinpath("attempts.csv").read_bytes() == before


def test_finish_killed_half_way_still_finds_the_holes_the_next_time(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = LedgerOpened(process_id="p1", at=AT).to_line() + b"torn\n" + sent("a") + ended("a", 1)
    directory.ledger_file("p1").write_bytes(lines)
    directory.update_run(started_at="2026-11-23T12:00:00Z", ended_at="2026-11-23T12:01:00Z")

    def die(*_arguments: object, **_changes: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as while_dying:
        while_dying.setattr(RunDirectory, "update_run", die)
        assert call("finish", directory.path) == 130
    call("finish", directory.path)
    assert directory.read_run()["ledger"]["torn_lines"] == 1


def test_finish_leaves_a_run_alone_whose_ledger_is_still_being_written(
    directory: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(directory)
    before = files_of(directory)
    with directory.ledger_file("p1").open("ab") as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX)  # as the Locust that writes it holds it
        assert call("finish", directory.path, "--settle-limit", "0.2") == 64
        assert "p1.jsonl is still being written" in capsys.readouterr().err
        assert files_of(directory) == before
    assert call("finish", directory.path) == 2
    assert directory.has("attempts.csv")


def test_finish_waits_for_another_that_is_at_it(directory: RunDirectory) -> None:
    killed(directory)
    codes: list[int] = []
    second = threading.Thread(target=lambda: codes.append(call("finish", directory.path)))
    with directory.closing():
        second.start()
        second.join(0.5)
        assert second.is_alive()
        assert not directory.has("attempts.csv")
    second.join(10)
    assert codes == [2]


def test_finish_of_a_worker_s_part_waits_for_another_too(directory: RunDirectory) -> None:
    killed(directory)
    (directory.path / "run.json").unlink()
    ledger = directory.ledger_file("p1")
    before = ledger.read_bytes()
    leave_tail(ledger, b'["closed",1]\n')
    codes: list[int] = []
    second = threading.Thread(target=lambda: codes.append(call("finish", directory.path)))
    with directory.closing():
        second.start()
        second.join(0.5)
        assert ledger.read_bytes() == before  # what both append would be there twice
    second.join(10)
    assert codes == [64]
    assert ledger.read_bytes() == before + b'["closed",1]\n'


def test_finish_without_any_record_of_load_is_64(
    directory: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    directory.update_run(ended_at=None)
    assert call("finish", directory.path) == 64
    assert "no load was recorded" in capsys.readouterr().err


def test_finish_judges_the_clients_side_where_the_database_is_gone(
    directory: RunDirectory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed(directory)
    directory.write_json(
        BEFORE_FILE,
        {"taken_at": "2026-11-23T12:00:00Z", "max_order_id": 0, "products": [], "settle": None},
    )
    monkeypatch.setenv("DATABASE_URL", "postgresql://shop:s3cret@127.0.0.1:1/shop")
    assert call("finish", directory.path) == 2
    shown = capsys.readouterr()
    assert "run `finish` again" in shown.err
    assert "s3cret" not in shown.err + shown.out
    assert not [name for name, content in files_of(directory).items() if b"s3cret" in content]
