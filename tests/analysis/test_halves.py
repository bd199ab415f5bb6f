"""Two processes share work: each item is worked on once, in whichever of them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from analysis.halves import in_halves
from tests.liveness import is_alive


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    ours = psutil.Process()
    before, descriptors = ours.children(), ours.num_fds()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    assert [each for each in ours.children() if each not in before] == []
    assert ours.num_fds() == descriptors
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.001)


def of_whom(item: int) -> tuple[int, int]:
    time.sleep(0.001)
    return item, os.getpid()


@pytest.mark.parametrize("count", [0, 1, 7, 8, 100])
def test_items_come_once_and_in_their_order(count: int) -> None:
    found = [*in_halves(of_whom, range(count))]
    assert [item for item, _ in found] == list(range(count))
    assert len({process for _, process in found}) <= 2


def test_whoever_is_slower_does_less() -> None:
    ours = os.getpid()

    def slow_here(item: int) -> int:
        time.sleep(0.02 if os.getpid() == ours else 0.001)
        return os.getpid()

    found = [*in_halves(slow_here, range(40))]
    assert found.count(ours) < 20


def test_one_processor_does_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    found = [*in_halves(of_whom, range(20))]
    assert {process for _, process in found} == {os.getpid()}


def test_the_other_process_is_killed() -> None:
    ours = os.getpid()

    def killed_there(item: int) -> int:
        if os.getpid() != ours:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        return item

    with pytest.raises(ValueError, match="has failed"):
        [*in_halves(killed_there, range(20))]


def test_the_other_process_fails() -> None:
    ours = os.getpid()

    def fails_there(item: int) -> int:
        if os.getpid() != ours:
            message = "no"
            raise RuntimeError(message)
        time.sleep(0.01)
        return item

    with pytest.raises(ValueError, match="has failed"):
        [*in_halves(fails_there, range(20))]


def test_this_process_fails() -> None:
    ours = os.getpid()

    def fails_here(item: int) -> int:
        if os.getpid() == ours:
            message = "here"
            raise RuntimeError(message)
        time.sleep(0.01)
        return item

    with pytest.raises(RuntimeError, match="here"):
        [*in_halves(fails_here, range(20))]


def test_who_wants_no_more_leaves_nothing_running() -> None:
    found = in_halves(of_whom, range(1000))
    assert next(found)[0] == 0
    assert isinstance(found, Iterator)
    found.close()  # type: ignore[attr-defined]


def test_an_interrupt_of_both_processes_is_told_of_by_this_one() -> None:
    ours = os.getpid()

    def interrupted(item: int) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        return item

    with pytest.raises(KeyboardInterrupt):
        [*in_halves(interrupted, range(20))]
    assert os.getpid() == ours


def test_an_interrupt_while_the_other_process_is_waited_for_ends_it(tmp_path: Path) -> None:
    ours, begun = os.getpid(), tmp_path / "begun"

    def endless_there(item: int) -> int:
        if os.getpid() != ours:
            begun.touch()
            time.sleep(0.2)  # until this one waits for it
            os.kill(ours, signal.SIGINT)
            time.sleep(60)
        _wait_for(begun)
        return item

    with pytest.raises(KeyboardInterrupt):
        [*in_halves(endless_there, range(20))]


def test_a_process_that_does_not_end_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, begun = os.getpid(), tmp_path / "begun"
    monkeypatch.setattr("analysis.halves._LONGEST_S", 0.2)

    def endless_there(item: int) -> int:
        if os.getpid() != ours:
            begun.touch()
            time.sleep(60)
        _wait_for(begun)
        return item

    with pytest.raises(ValueError, match="does not end"):
        [*in_halves(endless_there, range(20))]


def test_a_process_that_cannot_be_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError(errno.EAGAIN, "too many processes")

    monkeypatch.setattr("os.fork", refused)
    with pytest.raises(BlockingIOError):
        [*in_halves(of_whom, range(20))]


ROOT = Path(__file__).resolve().parents[2]
ORPHANED = """
import os, time
from analysis.halves import in_halves

os.sched_getaffinity = lambda _: {0, 1}
for _ in in_halves(lambda _: time.sleep(0.1), range(4000)):
    print(flush=True)
"""


def test_the_other_process_ends_when_this_one_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANED], stdout=subprocess.PIPE, cwd=ROOT
    ) as first:
        assert first.stdout
        first.stdout.readline()
        (other,) = psutil.Process(first.pid).children()
        first.kill()
    until = time.monotonic() + 30  # all items would take minutes
    while is_alive(other) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_alive(other)
