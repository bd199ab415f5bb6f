"""Processes of the lab: each in a group of its own, none of which outlives the supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from infra.lab import guard as guard_script
from infra.lab.errors import PartFailed

# The child waits for a line before it becomes what it is for. If the supervisor dies between
# starting it and telling the guard of it, the line never comes and the child ends by itself.
_WAIT_FOR_GO = 'read -r go || exit 1; exec "$@" </dev/null'


class Guard:
    """Tells `infra.lab.guard` which process groups to end when we are gone."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(guard_script.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        # Children inherit no copy of this end: with one, our death would not be noticed.
        assert self._process.stdin is not None
        os.set_inheritable(self._process.stdin.fileno(), False)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def add_group(self, pgid: int, signal_number: int = signal.SIGKILL) -> None:
        """Have this group ended with us."""
        self._tell(f"group {pgid} {int(signal_number)}")

    def drop_group(self, pgid: int) -> None:
        """The group has ended: its number may soon belong to somebody else."""
        self._tell(f"ungroup {pgid}")

    def remove_folder(self, folder: Path) -> None:
        """Have this folder removed when all is over."""
        self._tell(f"remove {folder}")

    def close(self) -> None:
        """End what is left and the guard itself."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=guard_script.GRACE_S + 10)

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class ProcessGroup:
    """A program started by us as the leader of a process group of its own."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        guard: Guard,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        user: str | None = None,
        last_signal: int = signal.SIGKILL,
    ) -> None:
        self._guard = guard
        self.log = log
        self.name = Path(command[0]).name
        with log.open("ab") as sink:
            self._process = self._start(command, sink, environment, folder, user)
        self.pgid = self._process.pid
        guard.add_group(self.pgid, last_signal)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"go\n")
            self._process.stdin.close()
        except BrokenPipeError as error:
            raise PartFailed(f"{self.name} could not be started; see {log}") from error

    @staticmethod
    def _start(
        command: Sequence[str],
        sink: IO[bytes],
        environment: Mapping[str, str] | None,
        folder: Path | None,
        user: str | None,
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["/bin/sh", "-c", _WAIT_FOR_GO, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=None if environment is None else dict(environment),
            cwd=folder,
            user=user,
            group=None if user is None else _group_of(user),
            extra_groups=None if user is None else [],
        )

    @property
    def pid(self) -> int:
        """Of the leader."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether the leader still runs."""
        return self._process.poll() is None

    def send(self, signal_number: int) -> None:
        """Signal the leader alone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal_number)

    def send_all(self, signal_number: int) -> None:
        """Signal every process of the group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pgid, signal_number)

    def stop(self, signal_number: int = signal.SIGTERM, *, grace_s: float = 5.0) -> None:
        """End the group: the signal to the leader, SIGKILL to all when the grace is over."""
        self.send(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole group, and forget it."""
        self.send_all(signal.SIGKILL)
        self._process.wait()
        self._guard.drop_group(self.pgid)

    def tail(self, lines: int = 5) -> str:
        """The end of its log, for error messages."""
        return last_lines(self.log, lines)


def _group_of(user: str) -> int:
    import pwd  # noqa: PLC0415  (POSIX only, and only needed by root)

    return pwd.getpwnam(user).pw_gid


def last_lines(log: Path, lines: int) -> str:
    """The last lines of a log, on one line."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return " | ".join(text.strip().splitlines()[-lines:])


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(address: str, port: int, *, timeout_s: float = 0.2) -> bool:
    """Whether a connection to that place is accepted."""
    with socket.socket() as probe:
        probe.settimeout(timeout_s)
        return probe.connect_ex((address, port)) == 0


def wait_for_listener(
    process: ProcessGroup, address: str, port: int, *, what: str, limit_s: float
) -> None:
    """Wait until the process accepts connections.

    Raises:
        PartFailed: it ended, or the limit was reached.

    """
    deadline = time.monotonic() + limit_s
    while not is_listening(address, port):
        if not process.is_alive():
            raise PartFailed(
                f"{what} ended while it started: {process.tail()} (log: {process.log})"
            )
        if time.monotonic() > deadline:
            raise PartFailed(
                f"{what} did not listen on {address}:{port} within {limit_s:g} s ({process.log})"
            )
        time.sleep(0.02)
