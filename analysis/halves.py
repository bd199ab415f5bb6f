"""Work that two processes share.

Threads would not do: steps over a few thousand numbers are so short that they mostly wait for each
other at Python's lock. The second process is a fork, so that it has all that the first one knows.
Each takes the next item from its own end for as long as there is any; what the second one found is
handed back through a file in memory. Where it fails, for whatever reason, ValueError says so.
"""

import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import IO, TypeVar

__all__ = ["in_halves"]

_FEWEST = 8  # items: below that a second process takes longer than it saves
_MOST = 1 << 15  # of which a pipe holds a byte each

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def in_halves(work: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> Iterator[ResultT]:
    """Yield what becomes of each item, in their order."""
    if not (_FEWEST <= len(items) <= _MOST and _can_share()):
        yield from map(work, items)
        return
    left, tickets = os.pipe()
    memory = os.memfd_create("results")
    with os.fdopen(left, "rb", buffering=0) as taken, os.fdopen(memory, "w+b") as results:
        with os.fdopen(tickets, "wb", buffering=0) as put:
            put.write(bytes(len(items)))  # one for each item, whoever takes it
        process = _begun(work, items, taken, results)
        done = 0
        try:
            while taken.read(1):
                yield work(items[done])
                done += 1
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            raise
        finally:
            _, status = os.waitpid(process, 0)
        results.seek(0)
        others = [pickle.load(results) for _ in items[done:] if not status]  # noqa: S301 -- ours
        if status or results.read(1):
            message = "the process that shares the work has failed"
            raise ValueError(message)
        yield from reversed(others)


def _can_share() -> bool:
    """Whether there are a second processor and a kernel that forks processes with threads."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


def _begun(
    work: Callable[[ItemT], ResultT], items: Sequence[ItemT], taken: IO[bytes], results: IO[bytes]
) -> int:
    with warnings.catch_warnings():
        # Another thread may draw a progress bar: the fork shares no lock with it.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process:
        return process
    status = 1
    try:
        for item in reversed(items):
            if not taken.read(1):
                break
            pickle.dump(work(item), results, pickle.HIGHEST_PROTOCOL)
        results.flush()
        status = 0
    finally:
        os._exit(status)  # whatever happened: nothing else of the first process is ours
