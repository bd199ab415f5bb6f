"""One process' ledger: no kill can take back an attempt's line before its first byte is sent.

Nor its end, once it is known; other requests' lines wait for a quarter of a second at most. Lines
go into the ledger's tail (`_tail`), whose pages the system keeps when the process is killed:
that leaves whole lines and at most one torn one. They are appended to the file four times per
second, and made last about once per second: a power cut takes the last second and the fsync's own
time.
"""

import fcntl
import os
import re
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn
from weakref import WeakSet

import gevent
from gevent.event import Event

from analysis.evidence.files.writing import sync_folder
from analysis.evidence.ledger.line_records import (
    LEDGER_VERSION,
    LEDGER_WITH_TAIL,
    LedgerClosed,
    LedgerOpened,
    RequestFields,
    lines_of,
)
from analysis.evidence.ledger.tail import tail_of
from harness.errors import LedgerFailed
from harness.record.disk_sync import DiskSync
from harness.record.tail import LedgerTail

KEEP_EVERY_S = 1.0
FLUSH_EVERY_S = 0.25
# Lines made one after the other take half the time of lines made here and there; so many take
# 0.1 ms, which no user notices.
WAITING_MAX = 100


def process_id() -> str:
    """Name this process among all of a run: host and pid, safe in a file name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", f"{socket.gethostname()}-{os.getpid()}").lstrip("-")


class Ledger:
    """The open ledger of one process; LedgerFailed from any method means that nothing may be sent.

    `write` takes whole lines; on return they are where no kill can take them back. `put` does the
    same for those who are in a hurry, but raises ValueError where there is no room for them, and
    `write` has to be called. What is less important is added to `waiting`, as fields: it waits for
    WAITING_MAX of them, or for `flush`.
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
        self.waiting: list[RequestFields] = []
        self.refusal: LedgerFailed | None = None
        self._on_failure = on_failure
        self._is_closed = False
        with ExitStack() as undo:
            try:
                # First: a ledger of no line, and without a tail, is what a power cut leaves.
                self._tail = LedgerTail(tail_of(path), fail=self._fail)
                undo.callback(self._tail.remove)
                self._file = os.open(
                    path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644
                )
                undo.callback(self._release)
                undo.callback(path.unlink)
                # Whoever closes the evidence sees by the lock that this process may still write.
                fcntl.flock(self._file, fcntl.LOCK_EX)
                self._tail.begin(self._file)
                # A file that no folder names is lost with all that was synced into it.
                sync_folder(path.parent)
            except OSError as error:
                raise LedgerFailed(f"cannot open the ledger {path}: {error.strerror}") from error
            self._disk = DiskSync(self._file, on_slow=on_slow)
            self.put = self._tail.put
            about: dict[str, str | int] = {"pid": os.getpid(), "host": socket.gethostname()}
            version = LEDGER_WITH_TAIL if self._tail.is_there else LEDGER_VERSION
            opened = LedgerOpened(version=version, process_id=process_id, at=at, about=about)
            self.write(opened.to_line())
            self._tail.spill()  # whose it is can be seen from the first moment
            undo.pop_all()
        _of_this_process.add(self)

    def write(self, lines: bytes) -> None:
        """Record whole lines."""
        if self.refusal is not None:
            raise self.refusal
        self._tail.write(lines)

    def put_waiting(self) -> None:
        """Record what waits."""
        if self.refusal is not None:
            raise self.refusal
        if self.waiting:
            lines = lines_of(self.waiting)
            self.waiting.clear()
            try:
                self.put(lines)
            except ValueError:
                self.write(lines)

    def flush(self) -> None:
        """Append to the file what waits and what is in the tail."""
        self.put_waiting()
        self._tail.spill()

    def sync(self) -> None:
        """Return when all that was recorded before is on the disk; others run meanwhile."""
        self.flush()
        try:
            self._disk.run()
        except OSError as error:
            self._fail(error, "fsync: ")

    def close(self, *, at: int) -> None:
        """Record what waits and the last line, and make both last; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self.refusal is None:
                self.put_waiting()
                self.write(LedgerClosed(at=at).to_line())
                self.sync()
                self._tail.remove()
        finally:
            self._refuse(LedgerFailed(f"the ledger {self.path} is closed"))
            self._tail.close()
            self._release()

    def disown(self) -> None:
        """Leave it to the process that opened it, of which this one is a fork.

        Both would use the same memory, and neither would know where the other is in it.
        """
        self._is_closed = True
        self._refuse(LedgerFailed(f"the ledger {self.path} is that of another process"))

    def _release(self) -> None:
        # Closing would unlock it too, but gevent puts closing off.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)

    def _fail(self, error: OSError, what: str = "") -> NoReturn:
        why = what + (error.strerror or type(error).__name__)
        failure = LedgerFailed(f"cannot write the ledger {self.path}: {why}")
        is_first = self._refuse(failure)
        if is_first:
            self._on_failure(failure)
        raise self.refusal or failure

    def _refuse(self, refusal: LedgerFailed) -> bool:
        """Let nothing more be recorded, and tell whether this is the first reason."""
        if self.refusal is not None:
            return False
        self.refusal = refusal

        def put(_lines: bytes) -> NoReturn:
            raise refusal

        self.put = put
        return True


_of_this_process: WeakSet[Ledger] = WeakSet()


def _disown_all() -> None:
    for each in tuple(_of_this_process):
        each.disown()


os.register_at_fork(after_in_child=_disown_all)


class NoLedger:
    """What there is between runs: nothing can be recorded, so nothing may be sent."""

    def __init__(self) -> None:
        self.waiting: list[RequestFields] = []
        self.refusal = LedgerFailed("no ledger is open, so nothing may be sent")

    def put(self, _lines: bytes) -> NoReturn:
        """Refuse."""
        raise self.refusal

    write = put

    def put_waiting(self) -> NoReturn:
        """Refuse."""
        raise self.refusal


class LedgerKeeper:
    """Appends what waits to a ledger's file, and once per second makes it last; users go on."""

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
        synced_at = time.monotonic()
        try:
            while not self._is_over.wait(min(FLUSH_EVERY_S, KEEP_EVERY_S)):
                self.ledger.flush()
                is_due = time.monotonic() - synced_at >= KEEP_EVERY_S
                # A disk that hangs must not keep the other lines in memory.
                if is_due and (self._syncing is None or self._syncing.ready()):
                    synced_at = time.monotonic()
                    self._syncing = gevent.spawn(self._sync)
        except LedgerFailed:
            return  # the ledger has told whom it concerns

    def _sync(self) -> None:
        try:
            self.ledger.sync()
        except LedgerFailed:
            return  # the ledger has told whom it concerns
