"""One command of the user's: started in a group of its own, limited in time, and ended whole."""

import contextlib
import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from harness.faults.commands.secrets import masked

_KEPT = 2000  # characters of output
_GRACE_S = 2.0
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended: its exit code (None where it could not start), and what it said.

    `is_cut` is one that was ended by us and not by itself, whatever its code.
    """

    code: int | None
    output: str
    is_late: bool = False
    is_cut: bool = False

    @property
    def as_text(self) -> str:
        """Return one line for events.csv."""
        late = ", ended at its time limit" if self.is_late else ""
        said = " ".join(masked(self.output).split())
        code = "not started" if self.code is None else f"exit code {self.code}"
        return f"{code}{late}{f': {said}' if said else ''}"


@dataclass(slots=True, kw_only=True)
class Command:
    """A line, split into words as a shell would, but run by a shell only if `in_shell`."""

    line: str
    in_shell: bool
    limit_s: float
    environment: Mapping[str, str] = field(default_factory=dict)
    group: int | None = None
    began: float = 0.0
    _is_wanted_over: bool = False

    @property
    def text(self) -> str:
        """The line as it may be written down."""
        return masked(self.line)

    def start(self) -> "subprocess.Popen[bytes] | Ended":
        """Start it; what could not be started has ended."""
        self._reading, writing = os.pipe()
        try:
            words = ["/bin/sh", "-c", self.line] if self.in_shell else shlex.split(self.line)
            process = subprocess.Popen(
                words,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            os.close(self._reading)
            return Ended(code=None, output=str(error))
        finally:
            os.close(writing)
        self.group, self.began = process.pid, time.time()
        return process

    _reading: int = -1

    def follow(self, process: "subprocess.Popen[bytes]") -> Ended:
        """Wait for its end, or its limit, and keep the beginning of what it says."""
        kept = bytearray()
        give_up_at = time.monotonic() + self.limit_s
        is_late = is_read = is_cut = False
        try:
            while process.poll() is None:
                is_read = is_read or self._read(kept)
                if is_read:
                    time.sleep(_LOOK_EVERY_S)
                is_late = time.monotonic() > give_up_at
                if is_late or self._is_wanted_over:
                    is_cut = True
                    end_group(process.pid, since=self.began)
                    process.wait()
            if not is_read:
                self._read(kept)
        finally:
            os.close(self._reading)
        said = kept.decode(errors="replace")
        output = said if len(said) <= _KEPT else f"{said[:_KEPT]} ..."
        return Ended(code=process.returncode, output=output, is_late=is_late, is_cut=is_cut)

    def end(self) -> None:
        """End it and all it has left running, of its group and no other."""
        self._is_wanted_over = True
        if self.group is not None:
            end_group(self.group, since=self.began)

    def _read(self, kept: bytearray) -> bool:
        """Take what has been said; True at the end of it. What is too much is not kept."""
        while select.select([self._reading], [], [], _LOOK_EVERY_S)[0]:
            said = os.read(self._reading, 65536)
            if not said:
                return True
            kept += said[: max(0, 4 * _KEPT - len(kept))]
            if self._is_wanted_over or len(said) == 65536:  # noqa: PLR2004 -- let the limit be seen
                return False
        return False


def end_group(group: int, *, since: float) -> None:
    """End the living of a group that we started: politely, then with SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        members = _members(group, since)
        for each in members:
            with contextlib.suppress(psutil.Error):
                each.send_signal(number)
        give_up_at = time.monotonic() + _GRACE_S
        while _members(group, since) and time.monotonic() < give_up_at:
            time.sleep(_LOOK_EVERY_S)


def _members(group: int, since: float) -> list[psutil.Process]:
    """Those of the session that we made: its number may be another's by now."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            is_ours = os.getsid(each.pid) == group and each.create_time() >= since - 1
            if is_ours and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found
