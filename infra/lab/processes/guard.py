"""The process that outlives the supervisor just long enough to end what it started.

Run as a script, it reads lines from its standard input, which only the supervisor holds
open. When that ends, however the supervisor ended (kill -9 included), every process group
still on the list is ended and every folder on it removed. It imports nothing of ours, so
that it starts at once and cannot fail with us.

    group <pgid> <signal> <grace>   end this group with that signal, after so many seconds SIGKILL
    ungroup <pgid>                  it has ended already
    remove <path>                   a folder to remove when all groups are gone
    keep <path>                     not to remove after all
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE_S = 3.0


class Guard(contextlib.AbstractContextManager["Guard"]):
    """Tells this file, run as a process, which process groups to end when we are gone."""

    def __init__(self) -> None:
        self._told: dict[int | Path, str] = {}  # group or folder -> its line
        self._process = self._start()

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        # Children inherit no copy of this end: with one, our death would not be noticed.
        assert process.stdin is not None
        os.set_inheritable(process.stdin.fileno(), False)
        return process

    def _tell(self, *lines: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("".join(line + "\n" for line in lines))
            self._process.stdin.flush()
        except BrokenPipeError:
            self._process.wait()
            self.keep_up()

    def keep_up(self) -> None:
        """Start it anew if somebody has killed it, with all it has to know."""
        if self._process.poll() is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process = self._start()
        self._tell(*self._told.values())

    def add_group(
        self, pgid: int, signal_number: int = signal.SIGKILL, *, grace_s: float = GRACE_S
    ) -> None:
        """Have this group ended with us."""
        self._told[pgid] = f"group {pgid} {int(signal_number)} {grace_s:g}"
        self._tell(self._told[pgid])

    def drop_group(self, pgid: int) -> None:
        """The group has ended: its number may soon belong to somebody else."""
        if self._told.pop(pgid, None) is not None:
            self._tell(f"ungroup {pgid}")

    def remove_folder(self, folder: Path) -> None:
        """Have this folder removed when all is over."""
        self._told[folder] = f"remove {folder}"
        self._tell(self._told[folder])

    def keep_folder(self, folder: Path) -> None:
        """Have it stay after all."""
        if self._told.pop(folder, None) is not None:
            self._tell(f"keep {folder}")

    def close(self) -> None:
        """End what is left and the guard itself."""
        self.keep_up()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=GRACE_S + 10)

    def __exit__(self, *_: object) -> None:
        self.close()


def is_group_alive(pgid: int) -> bool:
    """Whether any process of the group is left (an unreaped one counts)."""
    try:
        os.killpg(pgid, 0)
    except (ProcessLookupError, PermissionError) as error:
        return isinstance(error, PermissionError)
    return True


def end_groups(groups: dict[int, tuple[int, float]]) -> None:
    """Signal each group, wait for them, kill what is left."""
    for pgid, (signal_number, _) in groups.items():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pgid, signal_number)
    deadline = time.monotonic() + max((grace_s for _, grace_s in groups.values()), default=0)
    while any(is_group_alive(pgid) for pgid in groups) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pgid in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pgid, signal.SIGKILL)


def main() -> None:
    """Keep the list until the supervisor is gone, then work it off."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: dict[int, tuple[int, float]] = {}
    folders: list[str] = []
    for line in sys.stdin:
        verb, _, rest = line.rstrip("\n").partition(" ")
        if verb == "group":
            pgid, signal_number, grace_s = rest.split()
            groups[int(pgid)] = int(signal_number), float(grace_s)
        elif verb == "ungroup":
            groups.pop(int(rest), None)
        elif verb == "remove":
            folders.append(rest)
        elif verb == "keep":
            folders.remove(rest)
    end_groups(groups)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
