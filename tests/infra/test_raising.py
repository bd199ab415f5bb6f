"""Raising a lab, and what is said and left where that fails."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.errors import LabError
from infra.lab.raising import ROOT, PrivateLab, raise_kept, take_down
from infra.lab.state import LabFolder

pytestmark = [pytest.mark.lab, pytest.mark.slow]

FAST = {**os.environ, "LAB_PROFILE": "fast"}


def silent(_: str) -> None:
    """No progress."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[LabFolder]:
    """Where root's PostgreSQL cannot come: only root may enter what pytest makes."""
    tmp_path.chmod(0o700)
    folder = LabFolder(tmp_path / "a lab")
    yield folder
    take_down(folder)


def raising(folder: LabFolder) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.lab", "up", "--folder", str(folder.path)],
        cwd=ROOT,
        env=FAST,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(LabError, match="something else than a lab"):
        raise_kept(LabFolder(tmp_path), FAST, progress=silent)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_of_two_who_raise_the_lab_at_once_one_does(folder: LabFolder) -> None:
    both = [raising(folder), raising(folder)]
    printed = [each.communicate(timeout=120)[0] for each in both]
    assert sorted(each.returncode for each in both) == [0, 1], printed
    assert any("raising the lab just now" in each or "already" in each for each in printed)
    state = folder.read()
    assert state is not None
    assert state.is_well


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_raising_that_is_interrupted_leaves_nothing_running(folder: LabFolder, number: int) -> None:
    process = raising(folder)
    deadline = time.monotonic() + 30
    while not folder.is_supervised():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "interrupted" in printed
    assert not folder.is_supervised()


def test_a_taken_port_is_named_and_the_logs_are_kept() -> None:
    with socket.socket() as other:
        # As another lab's Envoy would: were ours to ask for the same, both would listen.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LabError, match=rf"127.0.0.1:{port}.*Address already in use") as error:
            PrivateLab({**FAST, "LAB_LOAD_BALANCER_PORT": str(port)}, progress=silent)
    kept = Path(str(error.value).split("(log: ")[1].split("/envoy.log)")[0])
    assert (kept / "supervisor.log").exists()
    shutil.rmtree(kept)
