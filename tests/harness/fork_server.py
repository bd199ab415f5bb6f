"""A process that has imported Locust, and becomes one as often as a test asks (forked_locust.py).

It becomes any other program that imports Locust as well.

Only what others wrote is imported here: each Locust loads what is under test itself, as a user's.
"""

import gc
import json
import os
import runpy
import signal
import sys
from contextlib import suppress
from pathlib import Path
from select import POLLIN
from socket import recv_fds
from typing import Any

import locust  # noqa: F401  before all that knows of TLS
import boto3  # noqa: F401  runs with a fault on AWS import it
from locust import main  # noqa: F401  with all that `python -m locust` imports
from gevent.monkey import get_original
from gevent.os import fork_gevent

# Locust has patched these to wait in gevent's loop, and nothing may run in that before a fork.
_socket = get_original("socket", "socket")
_poll = get_original("select", "poll")
_signal = get_original("signal", "signal")
_waitpid = get_original("os", "waitpid")
_close = get_original("os", "close")


class _ForkServer:
    """Forks for whoever asks, and tells how the child ended, until nobody can ask any more."""

    def __init__(self, asks: int) -> None:
        self._asks = _socket(fileno=asks)
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._tell: dict[int, int] = {}  # by the child that it is about

    def serve(self) -> dict[str, Any] | None:
        """Return what the child, which this is by then, was asked for; None when all is over."""
        _signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        poll = _poll()
        poll.register(self._woken, POLLIN)
        poll.register(self._asks, POLLIN)
        while True:
            ready = {each for each, _ in poll.poll()}
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._asks.fileno() in ready:
                _, descriptors, _, _ = recv_fds(self._asks, 1, 3)
                if not descriptors:
                    return None
                if asked := self._fork(*descriptors):
                    return asked

    def _fork(self, stdout: int, stderr: int, tell: int) -> dict[str, Any] | None:
        """Fork; the child, which keeps nothing of ours open, returns what it was asked for."""
        pid = fork_gevent()
        if pid:
            _close(stdout)
            _close(stderr)
            self._tell[pid] = tell
            os.write(tell, b"%d\n" % pid)
            return None
        signal.set_wakeup_fd(-1)
        _signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.dup2(stdout, sys.stdout.fileno())
        os.dup2(stderr, sys.stderr.fileno())
        with open(tell, closefd=False) as asked:
            wanted = json.load(asked)
        ours = (stdout, stderr, tell, self._woken, self._wake, self._asks.detach())
        for each in (*ours, *self._tell.values()):
            _close(each)
        assert isinstance(wanted, dict)
        return wanted

    def _reap(self) -> None:
        for pid, tell in list(self._tell.items()):
            ended, status = _waitpid(pid, os.WNOHANG)
            if ended:
                del self._tell[pid]
                with suppress(BrokenPipeError):  # who asked for it is gone
                    os.write(tell, b"%d\n" % os.waitstatus_to_exitcode(status))
                _close(tell)


def _become(module: str, arguments: list[str], cwd: str, environment: dict[str, str]) -> None:
    """Have everything be as `python -m MODULE` has it there, with these; and run it."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    sys.path[0] = str(Path.cwd())
    for name in [each for each in sys.modules if each.split(".")[0] == "tests"]:
        del sys.modules[name]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    # As Locust does before it forks its workers: what is there is not looked at ever again.
    gc.collect()
    gc.freeze()
    asked = _ForkServer(int(sys.argv[1])).serve()
    if asked is not None:
        _become(**asked)
