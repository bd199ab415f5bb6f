"""Whole experiments by the README's command, on the lab's fast profile."""

import csv
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from analysis import __main__ as command

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
FAST = {
    "LAB_PROFILE": "fast",
    "LAB_SHOP_WORKERS": "2",
    # Three seconds of refusing give some 502, for all that kept connections are still answered
    # in the first two; then three of silence until EC2's state has reached the load balancer, so
    # that customers run into their own timeout, too. Health checks would take eight to fail.
    "LAB_STOPPING_S": "3",
    "LAB_EC2_STATE_DELAY_S": "6",
    "LAB_UNHEALTHY_THRESHOLD": "9",
    "LOCUST_ARGS": "--fis-at 4s --connect-timeout 1 --total-timeout 2 --stop-timeout 4s "
    "--poll-every 0.5",
    "USERS": "16",
    "SPAWN_RATE": "16",
    "RUN_TIME": "22s",
    # Behind a proxy that does not answer: nothing of a run in the lab may go there.
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
}


# What a target may be seen to be when EC2 no longer runs it.
TAKEN_OUT = {"unused", "draining"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A run directory, read."""

    path: Path

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of one of its CSV files."""
        with (self.path / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    @property
    def summary(self) -> dict[str, Any]:
        """What was judged."""
        loaded: dict[str, Any] = json.loads((self.path / "summary.json").read_text("utf-8"))
        return loaded

    @property
    def run(self) -> dict[str, Any]:
        """What was run."""
        loaded: dict[str, Any] = json.loads((self.path / "run.json").read_text("utf-8"))
        return loaded

    def events(self, source: str, subject: str | None = None) -> list[str]:
        """The events of a source, in order."""
        return [
            each["event"]
            for each in self.table("events")
            if each["source"] == source and subject in {None, each["subject"]}
        ]

    def told(self) -> int:
        """How many orders were acknowledged, as far as the ledgers show by now."""
        ledgers = (self.path / "ledger").iterdir()
        return sum(each.read_bytes().count(b'"acknowledged"') for each in ledgers)


def chaos_load(run_dir: Path, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **variables, "RUN_DIR": str(run_dir)}
    return subprocess.Popen(
        ["make", "chaos-load"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a terminal's foreground group
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, str, int]:
    """One whole experiment: its evidence, what it printed, its exit code."""
    path = tmp_path_factory.mktemp("whole") / "run"
    process = chaos_load(path, **FAST)
    printed, _ = process.communicate(timeout=180)
    print(printed)
    return Evidence(path=path), printed, process.returncode


def test_the_run_is_held(finished: tuple[Evidence, str, int]) -> None:
    evidence, printed, code = finished
    assert code == 0, printed
    assert evidence.summary["verdict"] == "held"
    assert evidence.summary["exit_code"] == 0
    assert evidence.run["interrupted"] is False
    assert {each["verdict"] for each in evidence.summary["invariants"]} == {"held"}
    assert len(evidence.summary["invariants"]) == 8
    assert "held" in printed.lower()


def test_every_order_is_accounted_for(finished: tuple[Evidence, str, int]) -> None:
    evidence, _, _ = finished
    orders = evidence.summary["orders"]
    assert orders["rows"] > 50
    assert orders["confirmed"] + orders["committed"] == orders["rows"]
    assert orders["unexpected"] == orders["lost"] == orders["duplicate"] == 0
    assert len(evidence.table("orders")) == orders["rows"]
    assert evidence.summary["attempts"]["total"] == len(evidence.table("attempts"))


def test_orders_in_doubt_are_there_by_502_and_by_timeout(
    finished: tuple[Evidence, str, int],
) -> None:
    evidence, _, _ = finished
    causes = Counter(
        each["http_status"] or each["error"]
        for each in evidence.table("requests")
        if each["error"] or each["http_status"].startswith("5")
    )
    assert causes["502"] > 0
    assert causes["timeout"] > 0
    assert evidence.summary["attempts"]["indeterminate"] > 0


def test_the_events_tell_what_happened(finished: tuple[Evidence, str, int]) -> None:
    evidence, _, _ = finished
    fault = evidence.summary["fault"]
    victim = fault["targets"][0]
    states = [
        each for each in evidence.events("fis", fault["experiment_id"]) if each != "target_resolved"
    ]
    assert states[0] in {"pending", "initiating"}
    assert states[-1] == "completed"
    assert [
        each["detail"] for each in evidence.table("events") if each["event"] == "target_resolved"
    ] == [victim]
    # Within half a second the group deregisters it: nobody may have looked in between.
    first, second = evidence.events("elb", victim)[:2]
    assert (first, second in TAKEN_OUT) == ("healthy", True)
    assert "stopped" in evidence.events("ec2", victim)
    targets = [each for each in evidence.table("events") if each["source"] == "elb"]
    before = {each["subject"] for each in targets if each["at"] < fault["started_at"]}
    replacements = {each["subject"] for each in targets} - before
    assert len(before) == 2
    assert replacements
    assert all(evidence.events("elb", each)[-1] == "healthy" for each in replacements)
    assert any(
        each["source"] == "asg" and each["detail"].startswith("Launching")
        for each in evidence.table("events")
        if each["at"] > fault["started_at"]
    )


def test_failures_stop_once_the_target_is_out(finished: tuple[Evidence, str, int]) -> None:
    evidence, _, _ = finished
    victim = evidence.summary["fault"]["targets"][0]
    out = next(
        each["at"]
        for each in evidence.table("events")
        if each["subject"] == victim and each["event"] in TAKEN_OUT
    )
    late = [
        each
        for each in evidence.table("requests")
        # No time-out: on a busy machine a server that is well may be late, too.
        if each["http_status"].startswith("5") and each["sent_at"] > out
    ]
    assert late == []


def test_the_load_balancers_window_ends_with_the_event_that_says_so(
    finished: tuple[Evidence, str, int],
) -> None:
    evidence, _, _ = finished
    fault, windows = evidence.summary["fault"], evidence.summary["windows"]
    out = next(
        each["at"]
        for each in evidence.table("events")
        if each["subject"] == fault["targets"][0] and each["event"] in TAKEN_OUT
    )
    lasted = datetime.fromisoformat(out) - datetime.fromisoformat(fault["started_at"])
    assert windows["load_balancer"]["seconds"] == pytest.approx(lasted.total_seconds(), abs=0.01)
    assert windows["load_balancer"]["ended_by"] == "ec2_state"
    assert windows["client"]["seconds"] > 0


def test_the_run_says_what_ended_the_window_and_what_could_have(
    finished: tuple[Evidence, str, int],
) -> None:
    _, printed, _ = finished
    assert "load balancer: until EC2's state took the victim out" in printed
    told = " ".join(printed.split())
    assert "expected of 9 checks every 1 s with a 1 s timeout: 8 to 10 s; sooner where EC2" in told


def test_the_articles_hypotheses_are_scored(finished: tuple[Evidence, str, int]) -> None:
    evidence, _, _ = finished
    scored = {each["id"]: each["verdict"] for each in evidence.summary["hypotheses"]}
    assert len(scored) == 6
    assert "undecided" not in scored.values()
    assert Counter(scored.values())["broken"] >= 1  # customers did see errors


def test_locusts_own_statistics_are_kept(finished: tuple[Evidence, str, int]) -> None:
    evidence, _, _ = finished
    rows = {each["Name"]: int(each["Request Count"]) for each in evidence.table("locust_stats")}
    assert rows["Aggregated"] == len(evidence.table("requests"))
    assert evidence.table("locust_stats_history")
    lines = (evidence.path / "elb_access.log").read_text("utf-8").splitlines()
    assert {line.split()[2] for line in lines} == set(evidence.run["load_balancers"])
    assert len(lines) >= rows["Aggregated"] * 0.9


def test_no_secret_is_in_the_evidence_or_on_the_terminal(
    finished: tuple[Evidence, str, int],
) -> None:
    evidence, printed, _ = finished
    texts = [printed, *(each.read_text("utf-8") for each in evidence.path.rglob("*.*"))]
    assert not any("AWS_SECRET" in text for text in texts)


def test_the_prober_prints_the_articles_lines(finished: tuple[Evidence, str, int]) -> None:
    _, printed, _ = finished
    assert " - 200\n" in printed


# Evidence of a real run, changed by hand.


def judged(
    evidence: Evidence, folder: Path, change: Callable[[Path], None]
) -> tuple[int, Evidence]:
    copy = folder / "changed"
    shutil.copytree(evidence.path, copy)
    for result in ("reconciliation.csv", "summary.json"):
        (copy / result).unlink()
    change(copy)
    return command.main(["reconcile", str(copy)]), Evidence(path=copy)


def rewrite(path: Path, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *change(rows)])


def invariant(evidence: Evidence, name: str) -> str:
    verdict = next(each["verdict"] for each in evidence.summary["invariants"] if each["id"] == name)
    assert isinstance(verdict, str)
    return verdict


def test_the_same_evidence_gives_the_same_bytes(
    finished: tuple[Evidence, str, int], tmp_path: Path
) -> None:
    code, again = judged(finished[0], tmp_path, lambda _: None)
    assert code == 0
    for name in ("reconciliation.csv", "summary.json"):
        assert (again.path / name).read_bytes() == (finished[0].path / name).read_bytes()


def test_a_deleted_row_is_a_lost_order(finished: tuple[Evidence, str, int], tmp_path: Path) -> None:
    code, changed = judged(
        finished[0], tmp_path, lambda run: rewrite(run / "orders.csv", lambda rows: rows[1:])
    )
    assert code == 1
    assert changed.summary["orders"]["lost"] == 1
    assert invariant(changed, "durability") == "broken"


def test_a_copied_row_is_a_duplicate(finished: tuple[Evidence, str, int], tmp_path: Path) -> None:
    def copy_one(rows: list[list[str]]) -> list[list[str]]:
        largest = max(int(row[0]) for row in rows)
        return [*rows, [str(largest + 1), *rows[0][1:]]]

    code, changed = judged(finished[0], tmp_path, lambda run: rewrite(run / "orders.csv", copy_one))
    assert code == 1
    assert changed.summary["orders"]["duplicate"] == 1
    assert invariant(changed, "exactly-once") == "broken"


def test_changed_stock_breaks_conservation(
    finished: tuple[Evidence, str, int], tmp_path: Path
) -> None:
    def sell_one_more(rows: list[list[str]]) -> list[list[str]]:
        return [[*rows[0][:4], str(int(rows[0][4]) - 1)], *rows[1:]]

    code, changed = judged(
        finished[0], tmp_path, lambda run: rewrite(run / "products.csv", sell_one_more)
    )
    assert code == 1
    assert invariant(changed, "conservation") == "broken"


def test_a_wrong_variable_is_one_line_and_no_run(tmp_path: Path) -> None:
    process = chaos_load(tmp_path / "run", **FAST, EXPERIMENT="no-such")
    printed, _ = process.communicate(timeout=60)
    assert "EXPERIMENT=no-such" in printed
    assert "Error 64" in printed
    assert not (tmp_path / "run").exists()


def test_times_in_the_evidence_are_rfc_3339(finished: tuple[Evidence, str, int]) -> None:
    for name, columns in {
        "attempts": ["sent_at", "ended_at"],
        "events": ["at"],
        "orders": ["created_at", "committed_at"],
    }.items():
        for row in finished[0].table(name):
            for column in columns:
                assert datetime.strptime(row[column], "%Y-%m-%dT%H:%M:%S.%fZ")
