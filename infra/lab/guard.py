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

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time

GRACE_S = 3.0


def is_group_alive(pgid: int) -> bool:
    """Whether any process of the group is left (an unreaped one counts)."""
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
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
