"""What this process ends with: the worse of what we have found and what others say.

Locust's own codes mean something else than ours: it ends with 1 where a port is in use and with 2
after an error in a listener, which here would say that data is broken, or undecided.
"""

import atexit
import logging
import os
import sys

import psutil
from locust import log
from locust.env import Environment

from harness.errors import EXIT_BROKEN, EXIT_OUR_FAULT, EXIT_UNDECIDED, EXIT_USAGE

NO_LOAD = "no load was run: Locust ended before its users could start"

_WORST_FIRST = (EXIT_OUR_FAULT, EXIT_USAGE, EXIT_BROKEN, EXIT_UNDECIDED)


def worse(one: int | None, other: int | None) -> int | None:
    """Return the worse of two codes; one that is none of ours is worse than 0 alone."""
    return min(one, other, key=_rank)


def _rank(code: int | None) -> int:
    if code in _WORST_FIRST:
        return _WORST_FIRST.index(code)
    return len(_WORST_FIRST) + (2 if code is None else code == 0)


def end_children() -> None:
    """End the workers of --processes before any has a load.

    Locust means to do so when it ends, but lets those be that live then: until they have a master
    they try to connect for five minutes.
    """
    for child in psutil.Process().children():
        child.terminate()


class ExitCode:
    """The code of this process, as far as it is ours to say. `of_run` is the newest run's.

    `is_ready` once Locust has begun all that runs need, `is_settled` once it ends in good order.
    """

    def __init__(self) -> None:
        self.failed_with: int | None = None
        self.of_run: int | None = None
        self.is_ready = False
        self.is_settled = False

    @property
    def ours(self) -> int | None:
        """What went wrong, or else what the newest run has come to."""
        return self.of_run if self.failed_with is None else self.failed_with

    def begin_run(self) -> None:
        """A new run begins, with which nothing is wrong yet."""
        self.of_run, self.failed_with = self.ours, None

    def guard(self, environment: Environment) -> None:
        """Let `environment.process_exit_code` be never better than ours, whoever writes it last."""
        theirs = vars(environment).pop("process_exit_code", None)
        environment.__class__ = _GuardedEnvironment
        vars(environment)["_ours"] = self
        environment.process_exit_code = theirs

    def watch(self, *, has_workers: bool) -> None:
        """Have the last word where Locust ends in the midst of things, from now on."""
        atexit.register(self._end, os.getpid(), has_workers=has_workers)

    def _end(self, process: int, *, has_workers: bool) -> None:
        is_ours = self.is_settled or os.getpid() != process
        if is_ours or getattr(sys, "last_type", None) is KeyboardInterrupt:
            return
        if has_workers:
            end_children()
        code = self.ours or EXIT_UNDECIDED
        if not self.is_ready or log.unhandled_greenlet_exception:
            code = worse(code, EXIT_USAGE) or EXIT_USAGE  # Locust's line, or a listener's, says why
        elif self.ours is None:
            sys.stderr.write(f"chaos-shop: {NO_LOAD}\n")
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


class _GuardedEnvironment(Environment):
    """Locust's environment once `guard` has had it."""

    _ours: ExitCode
    _theirs: int | None

    @property
    def process_exit_code(self) -> int | None:
        return worse(self._ours.ours, self._theirs)

    @process_exit_code.setter
    def process_exit_code(self, code: int | None) -> None:
        self._theirs = code
