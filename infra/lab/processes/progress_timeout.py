"""Waiting for what is slow, and giving up on what is stuck."""

import time
from collections.abc import Callable

# Nothing that the lab waits for stands still for as long, on however slow a machine.
STUCK_AFTER_S = 120.0


class ProgressTimeout:
    """Lasts as long as there is progress. Times in seconds."""

    def __init__(
        self, limit_s: float = STUCK_AFTER_S, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit_s = limit_s
        self._now = now
        self._progress: object = None
        self._until = now() + limit_s

    def is_over(self, progress: object = None) -> bool:
        """Whether this, whatever it is, has not changed for as long as the limit."""
        if progress != self._progress:
            self._progress = progress
            self._until = self._now() + self._limit_s
        return self._now() > self._until
