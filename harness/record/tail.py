"""What a ledger's file does not hold yet, in memory that outlives the process.

How it is read, and when it can be trusted, is told in `analysis.evidence.ledger.tail`.
"""

import errno
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from analysis.evidence.ledger.tail import HEAD, OFFSET, SIZE, head_of, start_of_machine

# Where no file can be had as memory: some network and virtual file systems.
_UNMAPPABLE = (errno.ENODEV, errno.EINVAL, errno.EACCES, errno.ENOTSUP)


class LedgerTail:
    """Takes text that no process' end can take back, and appends it to the ledger's file later.

    Where files cannot be had as memory, each text is appended at once. An OSError of appending is
    handed to `fail`; what was taken before is still there then. An exception from elsewhere, as
    Ctrl-C raises one at any moment, leaves a tail that goes on as if the call had not been made.

    `put` takes text, or raises ValueError if there is no room: then `write` does it. Users wait
    for it, so it is the memory's own method and no function of ours.
    """

    def __init__(self, path: Path, *, fail: Callable[[OSError], NoReturn]) -> None:
        """Make the file `path`, or raise OSError; `begin` comes before all else."""
        self._path = path
        self._ledger = -1
        self._fail = fail
        self._offset = 0
        self._start = start_of_machine()
        # What cannot be told from a time before a power cut is better not there.
        self._memory = _map(path) if self._start else None
        self.put: Callable[[bytes], object] = self.append
        if self._memory is not None:
            self._memory[:HEAD] = self._head()

    @property
    def is_there(self) -> bool:
        """Whether there is such memory."""
        return self._memory is not None

    def begin(self, ledger: int) -> None:
        """Be the tail of this open file, which nobody else writes to."""
        self._ledger = ledger
        if self._memory is not None:
            self._clear(self._memory)
            self.put = self._memory.write

    def write(self, text: bytes) -> None:
        """Take text, however long."""
        memory = self._memory
        if memory is None:
            self.append(text)
            return
        self.spill()
        try:
            memory.write(text)
        except ValueError:
            memory.seek(0, os.SEEK_END)
            self.append(text)
            self._clear(memory)

    def spill(self) -> None:
        """Append to the ledger's file what is here, which makes room."""
        memory = self._memory
        if memory is None or memory.tell() == HEAD:
            return
        text = memory[HEAD : memory.tell()].rstrip(b"\0")
        # A call that was interrupted may have done it already.
        self.append(text[os.fstat(self._ledger).st_size - self._offset :])
        self._clear(memory)

    def append(self, text: bytes) -> None:
        """Append to the ledger's file itself, where nothing else is in the tail."""
        try:
            written = os.write(self._ledger, text)
            while written < len(text):  # on a full disk the next one says so
                written += os.write(self._ledger, text[written:])
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Leave the tail as it is: nothing can be put any more."""
        if self._memory is not None:
            self._memory.close()

    def remove(self) -> None:
        """Close, and delete what has been appended."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _clear(self, memory: mmap.mmap) -> None:
        """Use the memory again: the ledger's file has all that was in it.

        While zeros are stored some beginning of it is left, which is in the file too. Until the end
        there is no room, so that after an exception this is done again.
        """
        memory.seek(0, os.SEEK_END)
        memory[HEAD:] = bytes(SIZE - HEAD)
        self._offset = os.fstat(self._ledger).st_size
        memory[:OFFSET] = self._head()[:OFFSET]  # at once: it is one word
        memory.seek(HEAD)

    def _head(self) -> bytes:
        return head_of(offset=self._offset, start=self._start)


def _map(path: Path) -> mmap.mmap | None:
    """Return a new file as memory, or None (and no file) where that cannot be had."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        # A full disk is told of here: storing into a page without a block would end the process.
        if os.write(file, bytes(SIZE)) != SIZE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return mmap.mmap(file, SIZE)
    except OSError as error:
        path.unlink()
        if error.errno not in _UNMAPPABLE:
            raise
        return None
    finally:
        os.close(file)
