"""The tail of a ledger: its last lines, in a file that the load generator writes as memory.

Storing a line there takes a tenth of a write(2), and is as safe from whatever kills the process:
the pages are the system's. Now and then the text is appended to the ledger, and the pages are
used again. When the ledger is closed its tail goes. Where the process was killed, `complete`
appends what it could not; nobody else needs to know of the tail.

The head says at which byte of the ledger the text goes on, and which start of which machine wrote
it. Text is stored over zeros, and no text of ours holds a zero: it ends before the first one. After
a power cut each page of the file is in any state that it once had, so what is read after another
start, or on another machine, proves nothing before it is `complete`.
"""

import os
import struct
from pathlib import Path

from analysis.evidence.errors import EvidenceError

HEAD = 64
SIZE = HEAD + 2**17  # the lines of some 440 attempts
OFFSET = 8  # bytes of the head that say where the text goes on
_FIELDS = struct.Struct("<Q36s")
_COMPLETE = b"complete".ljust(36)  # instead of the machine's start
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def tail_of(ledger: Path) -> Path:
    """Return where a ledger's tail is."""
    return ledger.with_suffix(".tail")


def start_of_machine() -> bytes:
    """Return what no other start of any machine has; nothing where the system does not say."""
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:
        return b""


def head_of(*, offset: int, start: bytes) -> bytes:
    """Return the head of a tail whose text goes on at this byte of the ledger."""
    return _FIELDS.pack(offset, start).ljust(HEAD, b"\0")


def complete(ledger: Path) -> bool:
    """Append to a ledger what only its tail holds; safe to do again. Nobody may be writing it.

    False where there is no tail, or it cannot be trusted, or bytes are missing between the two:
    the machine has been started again since, the files are on another one, or one of them was not
    copied whole. Both stay as they are then, and if the ledger was not closed it has a gap.
    EvidenceError where the files cannot be written.
    """
    missing = lines_beyond(ledger)
    if missing is None:
        return False
    try:
        if missing:
            _add(ledger, missing, at=None)
        # So that both can be copied to another machine.
        _add(tail_of(ledger), _COMPLETE, at=OFFSET)
    except OSError as error:
        raise EvidenceError(
            f"{ledger} cannot be completed from its tail: {error.strerror}; put that right and run "
            "`finish` again"
        ) from error
    return True


def lines_beyond(ledger: Path) -> bytes | None:
    """Return the text that only the tail holds; None where `complete` would say False."""
    try:
        tail = tail_of(ledger).read_bytes()
    except FileNotFoundError:
        return None
    if len(tail) != SIZE:
        return None
    offset, written_at = _FIELDS.unpack_from(tail)
    text, _, _ = tail[HEAD:].partition(b"\0")
    with ledger.open("rb") as file:
        file.seek(offset)
        there = file.read(len(text))
        size = file.seek(0, os.SEEK_END)
    is_whole = written_at == _COMPLETE and there == text
    # A power cut may leave a head of zeros, and some systems do not say which start this is.
    is_of_now = any(written_at) and written_at.rstrip(b"\0") == start_of_machine()
    is_known = is_whole or is_of_now
    fits = offset <= size and text.startswith(there)
    return text[len(there) :] if is_known and fits else None


def _add(path: Path, content: bytes, *, at: int | None) -> None:
    """Store bytes in a file, or at its end, and make them last."""
    with path.open("ab" if at is None else "r+b") as file:
        if at is not None:
            file.seek(at)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
