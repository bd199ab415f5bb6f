"""Processes of the lab end with it, whoever of it is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra.lab.processes.guard import Guard
from infra.lab.processes.process_group import ProcessGroup
from tests.liveness import is_alive

HOLDER = """
import sys, time
from pathlib import Path
from infra.lab.processes.process_group import Guard, ProcessGroup
folder = Path(sys.argv[1])
guard = Guard()
guard.remove_folder(folder)
group = ProcessGroup(["sleep", "60"], guard=guard, log=folder / "log")
print(group.pid, guard._process.pid, flush=True)
while True:
    time.sleep(0.05)
    guard.keep_up()
"""


def wait_until_gone(pid: int) -> None:
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    deadline = time.monotonic() + 10
    while is_alive(process):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("guard_is_killed_first", [False, True])
def test_a_process_ends_with_a_killed_supervisor(
    tmp_path: Path, *, guard_is_killed_first: bool
) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        sleeper, guard = (int(word) for word in holder.stdout.readline().split())
        assert is_alive(psutil.Process(sleeper))
        if guard_is_killed_first:
            os.kill(guard, signal.SIGKILL)
            time.sleep(0.5)  # the supervisor's loop looks more often
    finally:
        holder.kill()
        holder.communicate()
    wait_until_gone(sleeper)
    deadline = time.monotonic() + 10
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_without_its_guard_a_group_can_be_ended_and_a_new_one_guarded(tmp_path: Path) -> None:
    with Guard() as guard:
        first = ProcessGroup(["sleep", "60"], guard=guard, log=tmp_path / "log")
        guard._process.kill()
        guard._process.wait()
        first.kill()
        second = ProcessGroup(["sleep", "60"], guard=guard, log=tmp_path / "log")
        third = ProcessGroup(["sleep", "60"], guard=guard, log=tmp_path / "log")
        guard._process.kill()
        guard._process.wait()
    for each in (second, third):
        wait_until_gone(each.pid)
        assert not each.is_alive()


LEADER = """
import os, signal, sys, time
log = os.open(sys.argv[1], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
if os.fork():
    signal.signal(signal.SIGCONT, lambda *_: os.write(log, b"L"))
    while True:
        signal.pause()
while True:
    time.sleep(0.05)
    os.write(log, b"w")
"""


def test_a_leader_goes_on_only_when_its_workers_have_shown_that_they_live(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    with Guard() as guard:
        group = ProcessGroup(
            [sys.executable, "-c", LEADER, str(shown)], guard=guard, log=tmp_path / "log"
        )
        wait_for(lambda: shown.exists() and b"w" in shown.read_bytes())
        group.freeze()
        wait_for(lambda: all(each.status() == "stopped" for each in group.members()))
        before = len(shown.read_bytes())
        group.thaw()
        wait_for(lambda: b"L" in shown.read_bytes())
        assert shown.read_bytes()[before:].startswith(b"w")
        group.kill()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_folder_may_be_kept_after_all(tmp_path: Path) -> None:
    kept, removed = tmp_path / "kept", tmp_path / "removed"
    kept.mkdir()
    removed.mkdir()
    with Guard() as guard:
        guard.remove_folder(kept)
        guard.remove_folder(removed)
        guard.keep_folder(kept)
    assert kept.exists()
    assert not removed.exists()
