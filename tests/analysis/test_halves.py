"""Two processes share work: each item is worked on once, in whichever of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from analysis.halves import in_halves


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    before = psutil.Process().children()
    yield
    assert [each for each in psutil.Process().children() if each not in before] == []


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
