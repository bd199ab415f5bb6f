"""How long the users of a run have, by one clock, whose zero is when they start.

Locust counts a run time from its own start, so that a snapshot or a slow machine would eat the
load. Its timers are taken out of the way here, and ours ends what they would have ended.
"""

import logging
import time
from argparse import Namespace
from collections.abc import Callable

import gevent
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_STOPPED
from locust.web import WebUI

from harness.arguments.check import is_headless

_STOP_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.1
_locusts_logger = logging.getLogger("locust.main")
_logger = logging.getLogger(__name__)


class RunClock:
    """The clock of one run: `begin` as its users start.

    That is when our part of `test_start` is done: the snapshot is taken, the ledger is open, and
    Locust goes on to spawn users (at once, unless somebody's later listener keeps it). Faults, the
    Chaos page and the end of the run all count from there. `limit_s` is None without a run time.
    """

    def __init__(
        self,
        limit_s: float | None,
        on_end: Callable[[], None],
        *,
        on_over: Callable[[], None] | None = None,
    ) -> None:
        """Call `on_end` when the time is over, and `on_over` once, however the run ends."""
        self.limit_s = limit_s
        self.is_over = False
        self._on_end = on_end
        self._on_over = on_over
        self._began: float | None = None
        self._timer: gevent.Greenlet[..., None] | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since users started; 0 before."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    def begin(self) -> None:
        """Users start now."""
        self._began = time.monotonic()
        if self.limit_s is not None:
            _logger.info("Users start; their run time is %g seconds", self.limit_s)
            self._timer = gevent.spawn(self._end_in_time, self.limit_s)

    def cancel(self) -> None:
        """Users are told to stop, or never came: nothing is left to be ended."""
        timer, self._timer = self._timer, None
        if timer is not None and timer is not gevent.getcurrent():
            timer.kill(block=False)
        on_over, self._on_over = self._on_over, None
        if on_over is not None:
            gevent.spawn(on_over)

    def _end_in_time(self, limit_s: float) -> None:
        # Not by one timer: the loop counts it from when it last looked at the clock.
        while (left_s := limit_s - self.elapsed_s) > 0:
            gevent.sleep(left_s)
        self.is_over = True
        _logger.info("--run-time limit reached, stopping users")
        self._on_end()


class RunTime:
    """What Locust's timers have to do with the runs of this process; `claim` gives each its clock.

    A shape class has a time of its own, which is let be.
    """

    def __init__(self, environment: Environment, options: Namespace, web_ui: WebUI | None) -> None:
        """Keep --run-time from Locust, which would make a timer of it before the test starts."""
        self._environment = environment
        self._options = options
        self._web_ui = web_ui
        self._kept: int | None = None
        is_automatic = is_headless(options) or options.autostart
        if is_automatic and options.run_time and environment.shape_class is None:
            self._kept, options.run_time = options.run_time, None
            _locusts_logger.addFilter(_tell_of_run_time)

    def claim(self) -> RunClock:
        """A test starts: give all who read it --run-time back, and Locust no timer."""
        if self._environment.shape_class is not None:
            return RunClock(None, self._stop)
        if self._kept is not None:
            self._options.run_time, self._kept = self._kept, None
            if self._web_ui is None:
                return RunClock(self._options.run_time, self._quit)
            on_over = None if self._options.autoquit == -1 else self._quit_after_a_while
            return RunClock(self._options.run_time, self._end, on_over=on_over)
        if self._web_ui is not None:
            if self._web_ui._run_time_greenlet is None:  # noqa: SLF001 -- the form's field was empty
                self._options.run_time = None
            self._web_ui._cancel_run_time_timer()  # type: ignore[no-untyped-call]  # noqa: SLF001
        return RunClock(self._options.run_time or None, self._end)

    def _stop(self) -> None:
        if self._environment.runner is not None:
            self._environment.runner.stop()

    def _end(self) -> None:
        """End a run with a web UI, unless its page was given another run time in the meantime."""
        if self._web_ui is None or self._web_ui._run_time_greenlet is None:  # noqa: SLF001
            self._stop()

    def _quit(self) -> None:
        if self._environment.runner is not None:
            self._environment.runner.quit()

    def _quit_after_a_while(self) -> None:
        """End Locust and its web UI --autoquit seconds after its users have stopped."""
        give_up_at = time.monotonic() + (self._environment.stop_timeout or 0) + _STOP_WITHIN_S
        runner = self._environment.runner
        while runner is not None and runner.state not in {STATE_INIT, STATE_STOPPED}:
            if time.monotonic() > give_up_at:
                break
            gevent.sleep(_LOOK_EVERY_S)
        gevent.sleep(self._options.autoquit)
        self._quit()
        if self._web_ui is not None:
            self._web_ui.stop()  # type: ignore[no-untyped-call]


def _tell_of_run_time(record: logging.LogRecord) -> bool:
    """Let Locust's log not say that there is no limit."""
    if str(record.msg).startswith("No run time limit set"):
        record.msg = "The run time begins when users start, use CTRL+C to interrupt"
    return True
