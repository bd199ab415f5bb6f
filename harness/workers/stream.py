"""A worker's ledger on its way to the master, over Locust's own messages.

It is read from the worker's disk, which is the queue: in memory is no more than one chunk. What the
master says it has is where the sending goes on, so no lost or repeated message does harm.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

CHUNK = 64 * 1024
# What may be on its way before the master has answered. Locust's heartbeats queue up behind it, and
# at 1 Mbit/s they still have to arrive within three seconds.
WINDOW = 4 * CHUNK
_LOOK_EVERY_S = 0.5
_SILENCE_S = 3.0


class Delivery(ABC):
    """How the master comes to have a ledger; `tell` sends it a message, False without a connection.

    `progressed_at` is when it last took a part, `is_done` whether it has all.
    """

    how: str

    def __init__(self, ledger: Path, *, tell: Callable[..., bool]) -> None:
        self._ledger = ledger
        self._tell = tell
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self.progressed_at = time.monotonic()
        self.is_done = False

    @abstractmethod
    def start(self) -> None:
        """Tell the master of the ledger, and deliver it in the background."""

    @abstractmethod
    def received(self, answer: Mapping[str, Any]) -> None:
        """Take the master's answer: how much it has, and whether it wants to go on from there."""

    @abstractmethod
    def finish(self) -> None:
        """Note that the ledger is closed: what is left is delivered, and then that it was all."""

    def wait(self, *, limit_s: float) -> bool:
        """Wait until the master has it all, or has taken nothing for `limit_s`."""
        while not self.is_done and time.monotonic() - self.progressed_at < limit_s:
            gevent.sleep(0.05)
        return self.is_done

    def abandon(self) -> None:
        """Deliver nothing more."""
        if self._greenlet is not None:
            self._greenlet.kill()


class LedgerStream(Delivery):
    """Sends one ledger by `tell`, and has to be told of the master's answers by `received`.

    Each message bears a turn. A new one begins whenever the sending goes on from another place, so
    that answers to what was sent before are not taken for answers to what was sent since.
    """

    how = "streamed"

    def __init__(self, ledger: Path, *, tell: Callable[..., bool]) -> None:
        super().__init__(ledger, tell=tell)
        self._turn = 0
        self._next = 0
        self._final: int | None = None
        self._is_asking = True
        self._waiting_since: float | None = None
        self._wake = Event()
        self.acknowledged = 0

    def start(self) -> None:
        """Begin to send."""
        self._ask()
        self._greenlet = gevent.spawn(self._run)

    def received(self, answer: Mapping[str, Any]) -> None:
        """Go on from where the master is."""
        size = answer["size"]
        if size > self.acknowledged:
            self.acknowledged = size
            self.progressed_at = time.monotonic()
        if answer["turn"] == self._turn and answer["should_resume"]:
            self._turn += 1
            self._next = size
            self._is_asking = False
        self._next = max(self._next, self.acknowledged)
        is_waiting = self._is_asking or self._next > self.acknowledged
        self._waiting_since = time.monotonic() if is_waiting else None
        self.is_done = self.is_done or answer["is_closed"]
        self._wake.set()

    def finish(self) -> None:
        """Note how long the ledger is in the end."""
        self._final = self._ledger.stat().st_size
        self.progressed_at = time.monotonic()
        self._wake.set()

    def _run(self) -> None:
        file = os.open(self._ledger, os.O_RDONLY)
        try:
            while not self.is_done:
                self._advance(file)
                self._wake.wait(_LOOK_EVERY_S)
                self._wake.clear()
        finally:
            os.close(file)

    def _advance(self, file: int) -> None:
        since = self._waiting_since
        if since is not None and time.monotonic() - since > _SILENCE_S:
            self._ask()
        if self._is_asking:
            return
        while self._next - self.acknowledged <= WINDOW - CHUNK:
            data = os.pread(file, CHUNK, self._next)
            if not data or not self._send(state="chunk", offset=self._next, data=data):
                break
            self._next += len(data)
        if self._final == self.acknowledged and self._waiting_since is None:
            self._send(state="closed", size=self._final)

    def _ask(self) -> None:
        """Ask what the master has; until it answers nothing more is sent."""
        self._turn += 1
        self._is_asking = True
        self._waiting_since = None
        self._send(state="open")

    def _send(self, **message: Any) -> bool:
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return self._tell(turn=self._turn, **message)
