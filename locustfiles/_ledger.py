"""One process' ledger: an attempt's line has left the process before its first byte is sent.

The file is append-only and each write is one os.write, so a killed process leaves whole lines and
at most one torn one. An attempt's end leaves with the next attempt, or when the event loop has
given every user that is ready its turn; other requests' lines wait for a second at most. What was
written is made last about once per second, so a power cut takes the last second and the fsync's
own time.
"""

import fcntl
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import gevent
from gevent.event import Event

from analysis.records import (
    AttemptSent,
    EndedFields,
    LedgerClosed,
    LedgerOpened,
    RequestFields,
    SentFields,
    lines_of,
)
from analysis.run_directory import sync_folder
from locustfiles._disk_sync import DiskSync
from locustfiles._errors import LedgerFailed

__all__ = ["KEEP_EVERY_S", "Ledger", "LedgerKeeper", "process_id"]

KEEP_EVERY_S = 1.0
# Lines made one after the other take half the time of lines made here and there; so many take
# 0.1 ms, which no user notices.
_WAITING_MAX = 100


def process_id() -> str:
    """Name this process among all of a run: host and pid, safe in a file name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", f"{socket.gethostname()}-{os.getpid()}").lstrip("-")


class Ledger:
    """The open ledger of one process; LedgerFailed from any method means that nothing may be sent.

    `on_failure` hears of the first failure, and of that one only; `on_slow` of a disk that keeps
    us from our promise, in words.
    """

    def __init__(
        self,
        path: Path,
        *,
        process_id: str,
        at: int,
        on_failure: Callable[[LedgerFailed], None] = lambda _failure: None,
        on_slow: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self.path = path
        self.process_id = process_id
        self._on_failure = on_failure
        self._waiting: list[RequestFields] = []
        self._unwritten: list[SentFields | EndedFields] = []
        self._is_turn_watched = False
        self._refusal: LedgerFailed | None = None
        self._is_closed = False
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            # Whoever closes the evidence sees by the lock that this process may still write.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            # A file that no folder names is lost with all that was synced into it.
            sync_folder(path.parent)
        except OSError as error:
            message = f"cannot open the ledger {path}: {error.strerror}"
            raise LedgerFailed(message) from error
        self._disk = DiskSync(self._file, on_slow=on_slow)
        about: dict[str, str | int] = {"pid": os.getpid(), "host": socket.gethostname()}
        self.write(LedgerOpened(process_id=process_id, at=at, about=about).to_line())

    def sent(self, attempt: AttemptSent) -> None:
        """Record that an attempt is about to be sent; on return its line has left the process."""
        self._unwritten.append(attempt.to_fields())
        self._write_unwritten()

    def ended(self, end: EndedFields) -> None:
        """Record the end of an attempt; its line leaves with the next, or when this turn ends.

        A write costs more than all else that is done for an end, and many end in one turn.
        """
        if self._refusal is not None:
            raise self._refusal
        self._unwritten.append(end)
        if not self._is_turn_watched:
            self._is_turn_watched = True
            gevent.get_hub().loop.run_callback(self._end_turn)

    def write(self, lines: bytes) -> None:
        """Write whole lines; on return they have left the process."""
        if self._refusal is not None:
            raise self._refusal
        try:
            written = os.write(self._file, lines)
        except OSError as error:
            self._fail(error.strerror or type(error).__name__)
        if written != len(lines):
            self._fail(f"only {written} of {len(lines)} bytes were written")

    def put_off(self, request: RequestFields) -> None:
        """Record a request that was no order; it waits for others, or for `flush`."""
        if self._refusal is not None:
            raise self._refusal
        self._waiting.append(request)
        if len(self._waiting) >= _WAITING_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what waits in memory."""
        if self._unwritten:
            self._write_unwritten()
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self.write(lines_of(waiting))

    def sync(self) -> None:
        """Return when all that was written before is on the disk; others run meanwhile."""
        if self._refusal is not None:
            raise self._refusal
        try:
            self._disk.run()
        except OSError as error:
            self._fail(f"fsync: {error.strerror or type(error).__name__}")

    def close(self, *, at: int) -> None:
        """Write what waits and the last line, and make both last; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._refusal is None:
                self.flush()
                self.write(LedgerClosed(at=at).to_line())
                self.sync()
        finally:
            self._refusal = self._refusal or LedgerFailed(f"the ledger {self.path} is closed")
            # Closing would do it too, but gevent puts closing off.
            fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)

    def _write_unwritten(self) -> None:
        lines = lines_of(self._unwritten)
        self._unwritten.clear()
        self.write(lines)

    def _end_turn(self) -> None:
        self._is_turn_watched = False
        if self._unwritten:
            try:
                self._write_unwritten()
            except LedgerFailed:
                return  # the ledger has told whom it concerns

    def _fail(self, why: str) -> NoReturn:
        if self._refusal is None:
            self._refusal = LedgerFailed(f"cannot write the ledger {self.path}: {why}")
            self._on_failure(self._refusal)
        raise self._refusal


class LedgerKeeper:
    """Once per second writes what waits in a ledger and makes it last, while users go on."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._is_over = Event()
        self._syncing: gevent.Greenlet[..., None] | None = None
        self._greenlet = gevent.spawn(self._keep)

    def close(self, *, at: int) -> None:
        """End, and close the ledger; an fsync that is under way is waited for."""
        self._is_over.set()
        try:
            gevent.joinall([each for each in (self._greenlet, self._syncing) if each is not None])
        finally:
            self.ledger.close(at=at)

    def _keep(self) -> None:
        try:
            while not self._is_over.wait(KEEP_EVERY_S):
                self.ledger.flush()
                # A disk that hangs must not keep the other lines in memory.
                if self._syncing is None or self._syncing.ready():
                    self._syncing = gevent.spawn(self._sync)
        except LedgerFailed:
            return  # the ledger has told whom it concerns

    def _sync(self) -> None:
        try:
            self.ledger.sync()
        except LedgerFailed:
            return  # the ledger has told whom it concerns
