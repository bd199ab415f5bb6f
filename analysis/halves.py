"""Work that two processes share.

Threads would not do: steps over a few thousand numbers are so short that they mostly wait for each
other at Python's lock. The second process is a fork, so that it has all that the first one knows.
Each takes the next item from its own end for as long as there is any; what the second one found is
handed back through a file in memory. Where it fails, for whatever reason, ValueError says so. It
ends with the first one, whatever that one dies of.
"""

import os
import pickle
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import IO, TypeVar

__all__ = ["in_halves"]

_FEWEST = 8  # items: below that a second process takes longer than it saves
_MOST = 1 << 12  # of which even the smallest pipe holds a byte each
_LONGEST_S = 60.0  # far more than any item takes
_LOOK_EVERY_S = 0.001

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def in_halves(work: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> Iterator[ResultT]:
    """Yield what becomes of each item, in their order."""
    if not (_FEWEST <= len(items) <= _MOST and _can_share()):
        yield from map(work, items)
        return
    with (
        os.fdopen(os.memfd_create("results"), "w+b") as results,
        _tickets(len(items)) as taken,
    ):
        done, process = 0, 0
        # The second process never looks at an interrupt, and none may come before it is known here.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = _begun(work, items, taken, results)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            while taken.read(1):
                yield work(items[done])
                done += 1
            status = _end_of(process)
        except BaseException:
            _kill(process)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        results.seek(0)
        others = [pickle.load(results) for _ in items[done:] if not status]  # noqa: S301 -- ours
        if status or results.read(1):
            message = "the process that shares the work has failed"
            raise ValueError(message)
        yield from reversed(others)


def _can_share() -> bool:
    """Whether there are a second processor and a kernel that forks processes with threads."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


def _tickets(count: int) -> IO[bytes]:
    """Return a pipe with a byte for each item: whoever takes it works on one."""
    left, tickets = os.pipe()
    with os.fdopen(tickets, "wb", buffering=0) as put:
        put.write(bytes(count))
    return os.fdopen(left, "rb", buffering=0)


def _begun(
    work: Callable[[ItemT], ResultT], items: Sequence[ItemT], taken: IO[bytes], results: IO[bytes]
) -> int:
    first = os.getpid()
    with warnings.catch_warnings():
        # Python warns of forks beside threads: NumPy has some, for algebra that no work here does.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process:
        return process
    status = 1
    try:
        for item in reversed(items):
            if os.getppid() != first or not taken.read(1):
                break
            pickle.dump(work(item), results, pickle.HIGHEST_PROTOCOL)
        results.flush()
        status = 0
    finally:
        os._exit(status)  # whatever happened: nothing else of the first process is ours


def _end_of(process: int) -> int:
    """Wait for a process that has one item at most left to do, and return its status."""
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status
        time.sleep(_LOOK_EVERY_S)
    # A lock that another thread held while the process forked is never released there.
    message = "the process that shares the work does not end"
    raise ValueError(message)


def _kill(process: int) -> None:
    if process:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
