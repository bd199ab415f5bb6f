"""Looks at the load four times a second, and says when a condition to abort on has come to hold."""

from collections.abc import Callable, Sequence

import gevent

from harness.faults.abort import Abort, Watchdog
from harness.record.pulse import Pulse

__all__ = ["Watchman"]

_LOOK_EVERY_S = 0.25


class Watchman:
    """Watches one run from `start` to `close`; `on_abort` hears once, in a greenlet of its own."""

    def __init__(
        self,
        pulse: Pulse,
        aborts: Sequence[Abort],
        *,
        on_abort: Callable[[str], None],
        on_our_fault: Callable[[BaseException], None],
    ) -> None:
        self._pulse = pulse
        self._watchdog = Watchdog(aborts=aborts)
        self._on_abort = on_abort
        self._on_our_fault = on_our_fault
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def start(self) -> None:
        """Watch from now on."""
        self._greenlet = gevent.spawn(self._watch)

    def close(self) -> None:
        """End."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def _watch(self) -> None:
        try:
            # The second in which users start is not a whole one.
            done = self._pulse.whole_second() + 1
            while True:
                gevent.sleep(_LOOK_EVERY_S)
                self._pulse.gather()
                for at in range(done + 1, self._pulse.whole_second() + 1):
                    done = at
                    if why := self._watchdog.take(self._pulse.read(at)):
                        gevent.spawn(self._on_abort, why)
                        return
        except Exception as error:  # noqa: BLE001 -- the end of a greenlet: nobody else would hear
            self._on_our_fault(error)
