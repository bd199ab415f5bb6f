"""Processes of the lab: each in a group of its own, none of which outlives the supervisor."""

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from infra.lab.errors import PartFailed
from infra.lab.processes.guard import Guard

# The child waits for a line before it becomes what it is for. If the supervisor dies between
# starting it and telling the guard of it, the line never comes and the child ends by itself.
_WAIT_FOR_GO = 'read -r go || exit 1; exec "$@" </dev/null'
# What thawed workers get to show that they live before their leader looks: at least, since some
# need more than one turn, and at most, since one may be stuck.
_WORKERS_LEAD_S = 0.2
_WORKERS_LIMIT_S = 10.0


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
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WAIT_FOR_GO, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=None if environment is None else dict(environment),
                cwd=folder,
                user=user,
                group=None if user is None else pwd.getpwnam(user).pw_gid,
                extra_groups=None if user is None else [],
            )
        self.pgid = self._process.pid
        guard.add_group(self.pgid, last_signal)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"go\n")
            self._process.stdin.close()
        except BrokenPipeError as error:
            raise PartFailed(f"{self.name} could not be started; see {log}") from error

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

    def members(self) -> list[psutil.Process]:
        """Every process of the group, the leader first."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(ProcessLookupError, psutil.Error):
                if os.getpgid(process.pid) == self.pgid:
                    found.append(process)
        return sorted(found, key=lambda each: each.pid != self.pgid)

    def freeze(self) -> None:
        """Stop all of it in the middle of whatever it does, with every socket open."""
        self.send_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on: the leader last, or it would take its workers' silence for their death."""
        workers = [each for each in self.members() if each.pid != self.pgid]
        frozen_at = {each: _turns(each) for each in workers}
        for each in workers:
            with contextlib.suppress(psutil.Error):
                each.send_signal(signal.SIGCONT)
        if workers:
            time.sleep(_WORKERS_LEAD_S)
        limit = time.monotonic() + _WORKERS_LIMIT_S
        while any(_turns(each) == turns is not None for each, turns in frozen_at.items()):
            if time.monotonic() > limit:
                break
            time.sleep(0.02)
        self.send_all(signal.SIGCONT)

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


def _turns(process: psutil.Process) -> int | None:
    """How often it has gone to sleep by itself; None where it has ended."""
    try:
        return int(process.num_ctx_switches().voluntary)
    except psutil.Error:
        return None


def last_lines(log: Path, lines: int) -> str:
    """The last lines of a log, on one line."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return " | ".join(text.strip().splitlines()[-lines:])
