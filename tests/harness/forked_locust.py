"""Starts Locusts from a process that has imported Locust (fork_server.py): most of a short run."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_IMPORTS_TAKE_S = 60.0  # at most; the first Locust waits for them
# What is looked at while Python and Locust are imported.
_AT_IMPORT = ("PYTHON", "GEVENT", "LOCUST_SKIP_", "LOCUST_PLAYWRIGHT", "LD_", "TZ")


class ForkedLocust:
    """A Locust, with what tests use of a `subprocess.Popen`."""

    def __init__(self, told: socket.socket, stdout: int | None, stderr: int | None) -> None:
        self._told = told
        self.stdout, self.stderr = (
            None if each is None else os.fdopen(each, "rb") for each in (stdout, stderr)
        )
        self._heard = b""
        self._written = {each: b"" for each in (self.stdout, self.stderr) if each is not None}
        self.returncode: int | None = None
        pid = self._hear(_IMPORTS_TAKE_S)
        assert pid is not None, "importing Locust takes too long"
        self.pid = pid

    def poll(self) -> int | None:
        return self._end_within(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._end_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("locust", timeout or 0)
        return code

    def _end_within(self, within_s: float | None) -> int | None:
        if self.returncode is None:
            self.returncode = self._hear(within_s)
            if self.returncode is not None:
                self._told.close()
        return self.returncode

    def communicate(self, timeout: float = _IMPORTS_TAKE_S) -> tuple[str, str]:
        give_up_at = time.monotonic() + timeout
        with selectors.DefaultSelector() as open_ones:
            for stream in self._written:
                if not stream.closed:
                    open_ones.register(stream, selectors.EVENT_READ, stream)
            while open_ones.get_map():
                ready = open_ones.select(max(0, give_up_at - time.monotonic()))
                if not ready:
                    raise subprocess.TimeoutExpired("locust", timeout)
                for key, _ in ready:
                    more = os.read(key.fd, 1 << 16)
                    self._written[key.data] += more
                    if not more:
                        open_ones.unregister(key.fileobj)
                        key.data.close()
        self.wait(max(0, give_up_at - time.monotonic()))
        output, errors = (
            "" if each is None else self._written[each].decode()
            for each in (self.stdout, self.stderr)
        )
        return output, errors

    def send_signal(self, what: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, what)

    def _hear(self, within_s: float | None) -> int | None:
        """Return the next number that is told of it, first its id and then its exit code."""
        self._told.settimeout(within_s)
        while b"\n" not in self._heard:
            try:
                more = self._told.recv(100)
            except (BlockingIOError, TimeoutError):
                return None
            assert more, "the process that has imported Locust is gone"
            self._heard += more
        number, _, self._heard = self._heard.partition(b"\n")
        return int(number)


class _ForkServer:
    """That process; it ends when nobody can ask it any more."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._ask, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.harness.fork_server", str(theirs.fileno())],
                cwd=_ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(self, asked: Mapping[str, object], log: Path | None) -> ForkedLocust:
        read_output = read_errors = None
        if log is None:
            (read_output, output), (read_errors, errors) = os.pipe(), os.pipe()
        else:
            output, errors = (os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for _ in "12")
        told, tell = socket.socketpair()
        with tell:
            socket.send_fds(self._ask, [b"!"], [output, errors, tell.fileno()])
        told.sendall(json.dumps(asked).encode())
        told.shutdown(socket.SHUT_WR)
        os.close(output)
        os.close(errors)
        return ForkedLocust(told, read_output, read_errors)

    def close(self) -> None:
        self._ask.close()
        self._process.wait(timeout=60)


_servers: dict[tuple[tuple[str, str], ...], _ForkServer] = {}
_asks_one = threading.Lock()


def start_locust(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path | None = None,
    module: str = "locust",
) -> ForkedLocust:
    """`python -m locust` with these, in a session of its own and without any input.

    What it prints goes to `log` if there is one. `module` may be another that imports Locust.
    """
    at_import = tuple(sorted((k, v) for k, v in env.items() if k.startswith(_AT_IMPORT)))
    asked = {
        "module": module,
        "arguments": arguments,
        "cwd": str(cwd),
        "environment": dict(env),
    }
    with _asks_one:
        if at_import not in _servers:
            _servers[at_import] = _ForkServer(env)
        return _servers[at_import].start(asked, log)


def end_fork_servers() -> None:
    """No Locust is asked for any more; those that run go on."""
    while _servers:
        _servers.popitem()[1].close()
