"""One round: a load, a kill -9 at a random moment, and what the evidence says afterwards.

What is claimed is compared with the orders table itself, read by us, not by the analysis.
"""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from infra.lab.processes.ports import free_port
from tests.harness.forked_locust import ForkedLocust, start_locust
from tests.soak.lane import ROOT, Lane

KINDS = ("alone", "two processes", "a worker", "the master", "at its end")
HURRIED = Path(__file__).with_name("hurried.py")
_HELD, _UNDECIDED = 0, 2
_WRONG = ("lost", "altered", "contradicted", "duplicate", "unexpected")
_LIMIT_S = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What is killed, and when: drawn from a seed, so that it can be done again."""

    number: int
    kind: str
    users: int
    kill_after_s: float
    closes_for_s: float = 0.7
    locustfile: Path = HURRIED
    finish_kills_s: tuple[float, ...] = ()

    @classmethod
    def draw(cls, seed: int, number: int) -> "Round":
        """Each kind in turn; every tenth round has its `finish` killed too."""
        chance = random.Random(f"{seed}:{number}")
        kind = KINDS[number % len(KINDS)]
        return cls(
            number=number,
            kind=kind,
            users=chance.randint(2, 30),
            kill_after_s=chance.uniform(0, 2),
            closes_for_s=chance.uniform(0, 1.5),
            finish_kills_s=tuple(chance.uniform(0, 1.2) for _ in range(3 * (number % 10 == 0))),
        )


@dataclass(slots=True, kw_only=True)
class Finding:
    """What a round found; `problems` is empty where all that is promised was kept."""

    round: Round
    attempts: int = 0
    in_flight: int = 0
    rows: int = 0
    committed: int = 0
    torn: int = 0
    verdict: str = ""
    took_s: float = 0.0
    absent: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def play(which: Round, lane: Lane) -> Finding:
    """Play a round to its end; what goes wrong is in the finding."""
    began = time.monotonic()
    finding = Finding(round=which)
    run = lane.folder / f"round-{which.number}" / "run"
    last = lane.last_order()
    try:
        _kill_under_load(which, lane, run)
        untouched = _copy(run, "untouched") if which.finish_kills_s else None
        _finish(run, lane, finding)
        _read(run, finding)
        _compare(run, lane.orders_since(last), finding)
        if untouched is not None:
            _kill_finish(which, untouched, run, lane, finding)
    except (AssertionError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        finding.problems.append(f"{type(error).__name__}: {error}"[:500])
    finding.took_s = time.monotonic() - began
    if not finding.problems:
        shutil.rmtree(run.parent)
    return finding


def late_orders(finding: Finding, lane: Lane) -> list[str]:
    """Attempts that were judged absent and have a row all the same, by now."""
    return sorted(lane.orders_since(0).keys() & set(finding.absent))


# --- the load and its end ---


def _kill_under_load(which: Round, lane: Lane, run: Path) -> None:
    run.parent.mkdir(parents=True)
    several = which.kind in ("two processes", "a worker", "the master")
    port = str(free_port())
    workers = ("--processes", "2", "--master-bind-host", "127.0.0.1")
    ports = ("--master-bind-port", port, "--master-port", port)
    arguments = [
        *("-f", str(which.locustfile)),
        *("-H", lane.host, "--headless", "--only-summary", "-r", "1000", "-s", "5"),
        *("-u", str(which.users), "-t", "60s"),
        *("--run-dir", str(run), *((*workers, *ports) if several else ())),
    ]
    load = start_locust(
        arguments,
        cwd=run.parent,
        env=_environment(lane) | {"PYTHONPATH": str(ROOT)},
        log=run.parent / "locust.log",
    )
    try:
        _wait_until(lambda: _has_begun(run), "the load began", load)
        time.sleep(which.kill_after_s)
        _kill(which, load)
    finally:
        _kill_group(load)
        load.wait()


def _kill(which: Round, load: ForkedLocust) -> None:
    match which.kind:
        case "a worker":
            victim = random.Random(which.number).choice(psutil.Process(load.pid).children())
            victim.kill()
            time.sleep(0.5)
            load.send_signal(signal.SIGINT)
            load.wait(_LIMIT_S)
        case "at its end":
            load.send_signal(signal.SIGTERM)
            time.sleep(which.closes_for_s)
            _kill_group(load)
        case "the master":
            workers = psutil.Process(load.pid).children()
            load.send_signal(signal.SIGKILL)
            _, alive = psutil.wait_procs(workers, timeout=30)
            assert not alive, "workers go on without their master"
        case _:
            _kill_group(load)


def _kill_group(load: ForkedLocust) -> None:
    try:
        os.killpg(load.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _has_begun(run: Path) -> bool:
    """Whether an attempt is in a ledger."""
    return any(b'["sent"' in each.read_bytes() for each in (run / "ledger").glob("*"))


def _wait_until(is_so: Callable[[], bool], what: str, load: ForkedLocust) -> None:
    give_up_at = time.monotonic() + _LIMIT_S
    while not is_so():
        assert load.poll() is None, f"Locust ended with {load.returncode} before {what}"
        assert time.monotonic() < give_up_at, f"it was in vain to wait until {what}"
        time.sleep(0.01)


def _environment(lane: Lane) -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "CHAOS_", "LOCUST_", "DATABASE_"))
    }
    return kept | {"DATABASE_URL": lane.database_url}


# --- what the evidence says ---


def _finish(run: Path, lane: Lane, finding: Finding) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "finish", str(run)],
        cwd=ROOT,
        env=_environment(lane),
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
    if done.returncode not in (_HELD, _UNDECIDED):
        finding.problems.append(f"finish ended with {done.returncode}: {done.stderr.strip()}")


def _read(run: Path, finding: Finding) -> None:
    summary = json.loads((run / "summary.json").read_text())
    ledger = json.loads((run / "run.json").read_text())["ledger"]
    finding.verdict = summary["verdict"]
    finding.attempts = summary["attempts"]["total"]
    finding.in_flight = summary["indeterminate_by_cause"].get("in_flight_at_stop", 0)
    finding.committed = summary["orders"]["committed"]
    finding.torn = ledger["torn_last_lines"]
    finding.problems += [
        f"{summary['orders'][name]} {name}" for name in _WRONG if summary["orders"][name]
    ]
    finding.problems += [
        f"{ledger[name]} {name}"
        for name in ("torn_lines", "cut_off", "unmatched_ends")
        if ledger[name]
    ]
    if not finding.attempts:
        finding.problems.append("there was no load to kill")


def _compare(run: Path, rows: dict[str, int], finding: Finding) -> None:
    """Hold every claim about an attempt against the table."""
    finding.rows = len(rows)
    attempts = {each["attempt_id"]: each for each in _table(run / "attempts.csv")}
    if strange := rows.keys() - attempts.keys():
        finding.problems.append(f"{len(strange)} orders reached the shop from outside the ledgers")
    unproved = [
        name
        for name, attempt in attempts.items()
        if attempt["outcome"] == "acknowledged" and str(rows.get(name)) != attempt["order_id"]
    ]
    if unproved:
        finding.problems.append(f"{len(unproved)} acknowledged attempts without their row")
    for each in _table(run / "reconciliation.csv"):
        if each["verdict"] in ("absent", "clean"):
            finding.absent.append(each["attempt_id"])
    if wrong := rows.keys() & set(finding.absent):
        finding.problems.append(f"{len(wrong)} attempts judged to have no row have one")


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# --- finishing, killed ---


def _copy(run: Path, name: str) -> Path:
    """A copy under the same folder name, which is the run's id."""
    copy = run.parent / name / run.name
    shutil.copytree(run, copy)
    return copy


def _kill_finish(which: Round, again: Path, run: Path, lane: Lane, finding: Finding) -> None:
    """The same evidence, its `finish` killed a few times: in the end it says the same."""
    for after_s in which.finish_kills_s:
        finish = subprocess.Popen(
            [sys.executable, "-m", "analysis", "finish", str(again)],
            cwd=ROOT,
            env=_environment(lane),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(after_s)
        finish.kill()
        finish.wait()
    _finish(again, lane, finding)
    # A report also tells of events, and so how long the database was waited for each time.
    for name in (_results(run) | _results(again)) - {"report.html"}:
        one, other = (_content(folder / name) for folder in (run, again))
        if one != other:
            finding.problems.append(f"{name} differs after a finish that was killed")


def _results(run: Path) -> set[str]:
    """What is made from the evidence, and the tables that are made from raw evidence."""
    names = {each.name for each in run.iterdir() if each.is_file()}
    return {each for each in names if not each.startswith((".", "locust_", "snapshot_"))} - {
        "run.json",
        "events.csv",
    }


def _content(path: Path) -> bytes | dict[str, object]:
    if not path.exists():
        return b""
    if path.name != "summary.json":
        return path.read_bytes()
    content: dict[str, object] = json.loads(path.read_text())
    return content | {"settle": None}  # how long the database was waited for is another each time
