"""Making what was written last: fsync in a thread, one at a time, so that no user waits for it."""

import os
import time
from collections.abc import Callable

import gevent
from gevent.lock import Semaphore

# What is promised is a second and the fsync's own time; one that takes longer is told of.
SLOW_S = 1.0


class DiskSync:
    """The fsyncs of a file that only grows.

    `on_slow` hears, in words, of each that takes longer than SLOW_S.
    """

    def __init__(self, file: int, *, on_slow: Callable[[str], None]) -> None:
        self._file = file
        self._synced_size = -1
        self._on_slow = on_slow
        self._turn = Semaphore()

    def run(self) -> None:
        """Return when all that was written before this call is on the disk.

        Other greenlets run meanwhile. OSError if it failed: nothing is certain then of anything
        written since the last one that succeeded, and another try would prove nothing.
        """
        with self._turn:
            size = os.fstat(self._file).st_size
            if size == self._synced_size:
                return
            failure = self._wait_for_fsync()
            if failure is not None:
                raise failure
            self._synced_size = size

    def _wait_for_fsync(self) -> OSError | None:
        began = time.monotonic()
        under_way = gevent.get_hub().threadpool.spawn(_fsync, self._file)
        under_way.wait(SLOW_S)
        if not under_way.ready():
            self._on_slow(f"an fsync has taken {SLOW_S:g} s and goes on")
            under_way.wait()
            self._on_slow(f"an fsync took {time.monotonic() - began:.1f} s")
        failure: OSError | None = under_way.get()
        return failure


def _fsync(file: int) -> OSError | None:
    """Return the error, which gevent would print if it were raised in its thread."""
    try:
        os.fsync(file)
    except OSError as error:
        return error
    return None
