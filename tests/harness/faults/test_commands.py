"""Faults that are commands: for shops outside AWS, bounded, healed, and never from a web form."""

import json
import socket
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.harness.load import Load, Locust, wait_until
from tests.harness.shop_server import Shop

pytestmark = pytest.mark.slow


def test_commands_come_at_their_moments_bounded_and_without_a_shell(
    load: Load, shop: Shop, tmp_path: Path
) -> None:
    load.environment["MY_TOKEN"] = "hunter22"
    healed = tmp_path / "healed"
    commands = {
        "users": "users:10: echo $HOME it is hunter22",
        "late": "1s: sleep 60",
        "steady": "steady:3s: sh -c 'seq 100000; exit 3'",
        "none": "2s: /no/such/command",
    }
    locust = load.start(
        shop.url,
        *("-t", "60s", "--fault-command-limit", "1", "--heal-command", f"touch {healed}"),
        *(part for each in commands.values() for part in ("--fault-command", each)),
    )
    locust.stop_when(lambda: _names(locust).count("fault_command_ended") == len(commands))
    ended = [row["detail"] for row in locust.events() if row["event"] == "fault_command_ended"]
    assert any(each == "exit code 0: $HOME it is ***" for each in ended), ended
    assert any(each.startswith("exit code -15, ended at its time limit") for each in ended)
    (counted,) = [each for each in ended if each.startswith("exit code 3: 1 2 3")]
    assert len(counted) < 2500
    assert any(each.startswith("not started: ") for each in ended)
    assert healed.exists()
    faults = locust.run_json()["faults"]
    assert [each["at"] for each in faults] == ["users:10", "1s", "steady:3s", "2s"]
    assert [bool(each["started_at"]) for each in faults] == [True, True, False, False]
    assert [each["exit_code"] for each in faults] == [0, None, 3, None]
    assert all(each["ended_at"] for each in faults)
    told = [each["happened"] for each in judged(locust)["faults"]]
    assert told == [True, None, False, False]
    texts = [each.read_text() for each in locust.run.glob("*.*")] + [locust.output, locust.errors]
    assert not any("hunter22" in text for text in texts)


def test_a_load_that_never_becomes_steady_is_said_and_the_run_goes_on(
    load: Load, shop: Shop, tmp_path: Path
) -> None:
    fault = f"touch {tmp_path / 'fault'}"
    locust = load.start(
        shop.url, "-t", "60s", "--fault-at", "steady:4s", "--steady-limit", "1",
        "--fault-command", fault,
    )  # fmt: skip
    locust.stop_when(lambda: "fis_refused" in _names(locust))
    (why,) = (row["detail"] for row in locust.events() if row["event"] == "fis_refused")
    assert "the load did not become steady within 1 s" in why
    assert not (tmp_path / "fault").exists()
    assert locust.run_json()["fault"]["started_at"] is None
    (missing,) = judged(locust)["faults"]
    assert missing["happened"] is False
    assert "the load did not become steady within 1 s" in missing["why_not"]


def test_a_load_generator_that_is_killed_leaves_nothing_broken(
    load: Load, shop: Shop, tmp_path: Path
) -> None:
    healed, pid = tmp_path / "healed", tmp_path / "pid"
    locust = load.start(
        shop.url, "-t", "60s", "--fault-at", "1s", "--fault-shell",
        "--fault-command", f"echo $$ > {pid}; sleep 50 & sleep 50",
        "--heal-command", f"touch {healed}",
    )  # fmt: skip
    wait_until(lambda: pid.exists() and pid.read_text().strip())
    leader = int(pid.read_text())
    started = [psutil.Process(leader), *psutil.Process(leader).children()]
    locust.kill_all()
    wait_until(healed.exists)
    wait_until(lambda: not any(_is_alive(each) for each in started))
    wait_until(lambda: "heal_command_ended" in locust.event_names("harness"))


def test_who_reaches_the_web_ui_cannot_have_a_command_run(
    load: Load, shop: Shop, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    marks = [tmp_path / name for name in ("fault", "heal")]
    locust = load.serve("--web-port", str(port), "-H", shop.url, "--fault-at", "1s")
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: _answers(url))
    form = {
        "user_count": "5",
        "spawn_rate": "5",
        "fis_at": "0s",
        "fault_command": f"touch {marks[0]}",
        "heal_command": f"touch {marks[1]}",
        "fault_shell": "1",
        "guard_off": "tag,baseline",
    }
    urllib.request.urlopen(f"{url}/swarm", urllib.parse.urlencode(form).encode(), timeout=30)
    wait_until(shop.attempt_ids)
    time.sleep(1)
    (run,) = (tmp_path / "runs").glob("2*")
    locust.kill_all()
    assert not any(each.exists() for each in marks)
    assert '"guard_off": []' in (run / "run.json").read_text()


def judged(locust: Locust) -> dict[str, Any]:
    """What the run was judged to be: undecided, since none here has a database."""
    summary = json.loads((locust.run / "summary.json").read_text())
    assert (summary["verdict"], summary["exit_code"]) == ("undecided", 2)
    assert isinstance(summary, dict)
    return summary


def _names(locust: Locust) -> list[str]:
    return locust.event_names() if (locust.run / "events.csv").exists() else []


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5)
    except OSError:
        return False
    return True


def _is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
