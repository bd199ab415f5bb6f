"""What CI gets of a run, and that none of it can touch the verdict."""

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from analysis import __main__ as command
from analysis.evidence.records import Event
from analysis.evidence.run import Settle
from analysis.evidence.run_directory import RunDirectory
from tests.analysis.histories import (
    NOON,
    acknowledged,
    evidence,
    indeterminate,
    row,
    run,
    store,
)

A, B = acknowledged("a", 1), indeterminate("b")


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(root=tmp_path, experiment="test", at=NOON)


@pytest.fixture
def good(directory: RunDirectory) -> RunDirectory:
    return store(directory, evidence([A, B], [row(1, A), row(2, B)]))


def call(*arguments: object) -> int:
    return command.main([str(each) for each in arguments])


def cases_of(directory: RunDirectory) -> dict[str, str]:
    """Each case of junit.xml by its id, and what it came to."""
    suites = fromstring(directory.path.joinpath("junit.xml").read_text("utf-8"))
    found = {}
    for case in suites.iter("testcase"):
        kinds = [each.tag for each in case if each.tag != "system-out"]
        found[case.attrib["name"].partition(":")[0]] = kinds[0] if kinds else "passed"
    assert int(suites.attrib["tests"]) == len(found)
    assert int(suites.attrib["failures"]) == list(found.values()).count("failure")
    assert int(suites.attrib["errors"]) == list(found.values()).count("error")
    return found


def test_a_case_for_each_invariant_and_hypothesis(good: RunDirectory) -> None:
    believed = {"statement": "s", "measure": "invariants_broken"}
    good.update_run(
        hypotheses=[
            {"id": "true", **believed, "at_most": 0},
            {"id": "false", **believed, "at_least": 1},
            {"id": "unknown", "statement": "s", "measure": "failed_requests", "at_most": 1},
        ]
    )
    assert call("reconcile", good.path) == 0
    found = cases_of(good)
    assert found["durability"] == "passed"
    assert (found["true"], found["false"], found["unknown"]) == ("passed", "failure", "skipped")


def test_broken_is_a_failure_and_undecided_an_error(directory: RunDirectory) -> None:
    flawed = run(settle=Settle(settled=False, waited_s=30.0))
    store(directory, evidence([A, acknowledged("gone", 7)], [row(1, A)], run=flawed))
    assert call("reconcile", directory.path) == 1
    found = cases_of(directory)
    assert found["durability"] == "failure"
    assert "error" in found.values()


def test_a_fault_that_did_not_happen_is_an_error_and_the_run_undecided(good: RunDirectory) -> None:
    refused = {"name": "hit-one", "why_not": "only 1 healthy", "started_at": None}
    good.update_run(faults=[refused], fault=refused)
    assert call("reconcile", good.path) == 2
    found = cases_of(good)
    assert found["fault-1"] == "error"
    assert "failure" not in found.values()
    assert "only 1 healthy" in good.path.joinpath("junit.xml").read_text()
    assert "No fault happened" in good.path.joinpath("report.html").read_text()
    assert call("reconcile", good.path, "--fail-on", "hypothesis") == 2
    assert call("reconcile", good.path, "--fail-on", "never") == 0


def test_control_characters_leave_junit_readable(directory: RunDirectory) -> None:
    store(directory, evidence([A], [row(1, A)]))
    directory.update_run(
        run_id="\x00\x1b]<&",
        hypotheses=[{"id": "\x0b", "statement": "\ud800]]>", "measure": "x", "at_most": 1}],
    )
    call("reconcile", directory.path)
    assert "skipped" in cases_of(directory).values()


def test_a_step_summary_is_added_to(
    good: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "step.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    good.update_run(run_id="<img src=x> | `rm` [a](b)")
    call("reconcile", good.path)
    text = summary.read_text("utf-8")
    assert text.startswith("before\n")
    assert "HELD" in text
    assert "in the table: 19\\.99 in goods" in text.replace("19.99", "19\\.99")
    assert "<img" not in text
    assert "[a](b)" not in text


def test_what_cannot_be_written_is_a_note_and_the_verdict_stands(
    good: RunDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none" / "step.md"))
    (good.path / "requests.csv").write_bytes(b'process_id,"\x00\n1,2,3\n')
    code = call("reconcile", good.path)
    shown = capsys.readouterr()
    assert code == 0
    assert "HELD" in shown.out
    assert shown.err.count("the verdict is not touched by it") == 2


def test_finish_draws_the_report(good: RunDirectory) -> None:
    assert call("finish", good.path) == 0
    assert good.has("report.html")
    assert good.has("junit.xml")


def test_no_report_leaves_a_report_of_the_same_judgement_alone(
    good: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    call("report", good.path, "--png")
    drawn = {name: (good.path / name).read_bytes() for name in ("report.html", "report.png")}
    for name in ("reconcile", "finish"):
        assert call(name, good.path, "--no-report") == 0
        assert {name: (good.path / name).read_bytes() for name in drawn} == drawn
    assert not list(good.path.glob(".*.part"))
    assert capsys.readouterr().err == ""


def test_a_report_of_another_judgement_goes_and_that_is_said(
    good: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    call("report", good.path)
    call("reconcile", good.path, "--no-report", "--method", "inferred")
    assert not good.has("report.html")
    assert "report.html showed another judgement" in capsys.readouterr().err


def test_a_judgement_that_fails_leaves_no_older_report(good: RunDirectory) -> None:
    call("report", good.path)
    (good.path / "orders.csv").write_text("id\n")
    assert call("reconcile", good.path, "--no-report") == 64
    assert not list(good.path.glob("*report*"))
    assert not list(good.path.glob(".*report*"))


def test_parquet_gives_the_same_report(good: RunDirectory) -> None:
    call("finish", good.path)
    from_csv = good.path.joinpath("report.html").read_bytes()
    call("finish", good.path, "--parquet")
    assert good.has("attempts.parquet")
    good.path.joinpath("attempts.csv").unlink()
    call("report", good.path)
    assert good.path.joinpath("report.html").read_bytes() == from_csv


def test_a_report_is_drawn_as_the_run_was_judged(good: RunDirectory) -> None:
    store(good, evidence([A, B], [row(2, B)]))
    assert call("reconcile", good.path, "--method", "inferred", "--fail-on", "never") == 0
    before = good.path.joinpath("summary.json").read_bytes()
    assert call("report", good.path) == 0
    assert good.path.joinpath("summary.json").read_bytes() == before


def test_the_picture_is_a_png(good: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    good.append_event(Event(at=NOON, source="elb", subject="i-1", event="healthy", detail=""))
    assert call("report", good.path, "--png") == 0
    assert capsys.readouterr().out.strip() == str(good.path / "report.html")
    assert good.path.joinpath("report.png").read_bytes().startswith(b"\x89PNG")


# --- JSON ---


@pytest.mark.parametrize("name", ["reconcile", "finish", "report"])
def test_json_is_the_summary_and_nothing_else(
    good: RunDirectory, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(name, good.path, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads(good.path.joinpath("summary.json").read_text("utf-8"))


def test_json_of_a_story(good: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("story", good.path, "b", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["attempts"]
    assert told["verdict"] == "committed"
    assert [each["witness"] for each in told["steps"]][-1] == "database"


def test_an_error_leaves_stdout_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("reconcile", tmp_path / "none", "--json") == 64
    assert capsys.readouterr().out == ""
