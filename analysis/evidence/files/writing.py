"""How files are written: added to in one write, or whole or not at all."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from analysis.evidence.errors import EvidenceError, UsageError

_BUFFER = 1 << 18


def append_file(path: Path, text: str) -> None:
    """Add to a file that is not a run's; EvidenceError where that cannot be done."""
    try:
        append_bytes(path, text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise EvidenceError(f"{path} cannot be written: {error.strerror}") from error


def append_bytes(path: Path, content: bytes) -> None:
    """Add to a file, in one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def write_file(path: Path, text: str) -> None:
    """Write a file that somebody asked for by name; UsageError where that cannot be done."""
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file that takes its name in one step: readers see the old or the new one, no part."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb", buffering=_BUFFER) as file:
            yield file
        put_in_place(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def put_in_place(written: Path, path: Path) -> None:
    """Give a whole file of the same disk its name, once it is on the disk for good."""
    with written.open("rb") as file:
        os.fsync(file.fileno())
    written.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder last: a file that is synced can still lose its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # so say file systems that cannot, and need not
            raise
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path, *, waits: bool = True) -> Iterator[None]:
    """Keep other processes out of a folder; BlockingIOError where one is in it, unless it waits."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        yield
    finally:
        # Closing would do it too, but gevent puts closing off, and the next update would wait.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
