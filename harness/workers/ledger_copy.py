"""The master's copy of a worker's ledger: what came by messages, in order, without a gap."""

import fcntl
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent
from gevent.queue import Queue

from harness.errors import LedgerFailed


class LedgerCopy:
    """Takes a worker's messages and answers each with what it has, as `LedgerStream` expects.

    The file is written in threads, and is locked until `release`: it is still being written.
    """

    def __init__(
        self,
        path: Path,
        *,
        answer: Callable[[dict[str, Any]], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self.path = path
        self.size = 0
        self.is_closed = False
        self.progressed_at = time.monotonic()
        self._answer = answer
        self._on_failure = on_failure
        self._has_failed = False
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise LedgerFailed(
                f"cannot open the copy of a ledger {path}: {error.strerror}"
            ) from error
        # No more is ever in it than the worker's window: it waits for answers.
        self._inbox: Queue[Mapping[str, Any] | None] = Queue()
        self._greenlet = gevent.spawn(self._receive)

    def take(self, message: Mapping[str, Any]) -> None:
        """Take one message, to be worked on in its turn; returns at once."""
        self._inbox.put(message)

    def release(self) -> None:
        """Finish what has come, make it last and unlock it; messages after that are lost."""
        self._inbox.put(None)
        self._greenlet.join()
        _in_a_thread(os.fsync, self._file)
        # Closing would do it too, but gevent puts closing off.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)

    def _receive(self) -> None:
        while (message := self._inbox.get()) is not None:
            if self._has_failed:
                continue
            try:
                self._work(message)
            except OSError as error:
                self._has_failed = True
                self._on_failure(f"cannot write {self.path}: {error.strerror}")

    def _work(self, message: Mapping[str, Any]) -> None:
        fits = False
        match message["state"]:
            case "chunk":
                fits = message["offset"] == self.size
                if fits:
                    self._append(message["data"])
            case "closed":
                fits = message["size"] == self.size
                if fits:
                    _in_a_thread(os.fsync, self._file)
                    self.is_closed = True
        self._answer(
            {
                "turn": message["turn"],
                "size": self.size,
                "should_resume": not fits,
                "is_closed": self.is_closed,
            }
        )

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = _in_a_thread(os.write, self._file, rest)
            self.size += written
            rest = rest[written:]
        self.progressed_at = time.monotonic()


def _in_a_thread(function: Callable[..., Any], *arguments: object) -> Any:
    """Let users and messages go on while the disk is waited for."""
    return gevent.get_hub().threadpool.apply(function, arguments)
