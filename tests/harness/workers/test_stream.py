"""A ledger on its way to the master, over a wire that loses, repeats and delays messages."""

import fcntl
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from harness.errors import LedgerFailed
from harness.workers import stream as _stream
from harness.workers.ledger_copy import LedgerCopy
from harness.workers.stream import CHUNK, WINDOW, LedgerStream


class Wire:
    """Carries messages between a stream and a copy, each way in order unless it is told else."""

    def __init__(self, folder: Path, content: bytes) -> None:
        self.ledger = folder / "ledger.jsonl"
        self.ledger.write_bytes(content)
        self.chance = random.Random(7)
        self.loss = 0.0
        self.is_cut = False
        self.told: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self.copy = LedgerCopy(
            folder / "copy.jsonl", answer=self._answer, on_failure=self.failures.append
        )
        self.stream = LedgerStream(self.ledger, tell=self._tell)

    def _tell(self, **message: Any) -> bool:
        self.told.append(message)
        if self.is_cut:
            return False
        for _ in range(self._times()):
            gevent.spawn_later(self._delay_s(), self.copy.take, message)
        return True

    def _answer(self, answer: dict[str, Any]) -> None:
        for _ in range(0 if self.is_cut else self._times()):
            gevent.spawn_later(self._delay_s(), self.stream.received, answer)

    def _times(self) -> int:
        return self.chance.choices([1, 0, 2], [1 - 2 * self.loss, self.loss, self.loss])[0]

    def _delay_s(self) -> float:
        return self.chance.random() * 0.02 if self.loss else 0.0

    def end(self) -> None:
        self.stream.abandon()
        self.copy.release()


@pytest.fixture
def wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setattr(_stream, "_SILENCE_S", 0.1)
    monkeypatch.setattr(_stream, "_LOOK_EVERY_S", 0.02)
    made = Wire(tmp_path, random.Random(1).randbytes(3 * WINDOW + 12345))
    yield made
    made.end()


def _is_whole(wire: Wire) -> bool:
    return wire.copy.path.read_bytes() == wire.ledger.read_bytes()


def test_all_of_a_ledger_arrives_and_its_end_is_agreed_upon(wire: Wire) -> None:
    wire.stream.start()
    wire.stream.finish()
    assert wire.stream.wait(limit_s=60)
    assert wire.copy.is_closed
    assert _is_whole(wire)


@pytest.mark.parametrize("seed", range(5))
def test_lost_repeated_and_overtaking_messages_do_no_harm(wire: Wire, seed: int) -> None:
    wire.chance, wire.loss = random.Random(seed), 0.2
    wire.stream.start()
    with wire.ledger.open("ab") as file:
        for _ in range(10):
            file.write(random.Random(seed).randbytes(CHUNK // 3))
            file.flush()
            gevent.sleep(0.02)
    wire.stream.finish()
    assert wire.stream.wait(limit_s=60)
    assert _is_whole(wire)


def test_a_cut_wire_is_asked_for_what_arrived_and_the_rest_follows(wire: Wire) -> None:
    wire.stream.start()
    while not wire.copy.size:
        gevent.sleep(0)
    wire.is_cut = True
    gevent.sleep(0.3)
    assert not wire.copy.is_closed
    wire.is_cut = False
    wire.stream.finish()
    assert wire.stream.wait(limit_s=60)
    assert _is_whole(wire)


def test_no_more_is_on_its_way_than_the_window_while_the_master_is_busy(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = wire.stream.received

    def hear_until_something_is_there(answer: dict[str, Any]) -> None:
        if not wire.stream.acknowledged:
            received(answer)

    monkeypatch.setattr(wire.stream, "received", hear_until_something_is_there)
    wire.stream.start()
    while not wire.stream.acknowledged:
        gevent.sleep(0)
    had = wire.stream.acknowledged
    gevent.sleep(0.3)
    sent = [each["offset"] + len(each["data"]) for each in wire.told if "data" in each]
    assert max(sent) <= had + WINDOW
    assert {len(each["data"]) for each in wire.told if "data" in each} <= {CHUNK, 12345}


def test_a_copy_is_locked_until_it_is_released(wire: Wire) -> None:
    with wire.copy.path.open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_a_ledger_that_is_here_already_is_not_written_over(wire: Wire) -> None:
    with pytest.raises(LedgerFailed, match="cannot open the copy"):
        LedgerCopy(wire.copy.path, answer=print, on_failure=print)


def test_a_full_disk_is_said_once_and_takes_nothing_more(wire: Wire) -> None:
    wire.copy._file, kept = _full(), wire.copy._file
    wire.stream.start()
    with gevent.Timeout(60):
        while not wire.failures:
            gevent.sleep(0.01)
    gevent.sleep(0.3)
    wire.copy._file = kept
    assert len(wire.failures) == 1
    assert "No space left" in wire.failures[0]
    assert wire.copy.size == 0


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)
