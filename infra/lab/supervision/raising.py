"""Raising a lab from another process: kept (until it is taken down) or private (with its maker)."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from infra import ROOT
from infra.lab.errors import LabBusy, LabError
from infra.lab.processes.process_group import last_lines
from infra.lab.processes.progress_timeout import STUCK_AFTER_S, ProgressTimeout
from infra.lab.supervision.lab_folder import LabFolder, LabState

KEPT = ROOT / ".lab"
# The supervisor gives up on parts that are stuck, and we on a supervisor that no longer writes.
SILENT_LIMIT_S = 2 * STUCK_AFTER_S
DOWN_LIMIT_S = STUCK_AFTER_S


def raise_kept(
    folder: LabFolder, environment: Mapping[str, str], *, progress: Callable[[str], None]
) -> LabState:
    """Start a lab that stays up when we are gone.

    Raises:
        LabBusy: it is up already, or about to be.
        LabError: it did not come up; nothing of it is left but its logs.

    """
    folder.path.mkdir(parents=True, exist_ok=True)
    if not folder.is_ours():
        raise LabError(f"{folder.path} holds something else than a lab: name another folder")
    with contextlib.closing(folder.lock("raise")) as lock:
        if not lock.try_take():
            raise LabBusy("somebody else is raising the lab just now")
        if folder.is_supervised():
            raise LabBusy("the lab is up already: `make lab-status` shows it")
        folder.clear()
        process = _spawn(folder, environment, private=False)
        try:
            return _wait_until_up(folder, process, progress)
        except BaseException:
            process.terminate()
            _wait_for_end(process)
            raise


class PrivateLab:
    """A lab that lives as long as this object, or this process, does."""

    def __init__(self, environment: Mapping[str, str], *, progress: Callable[[str], None]) -> None:
        path = Path(tempfile.mkdtemp(prefix="chaos-lab-"))
        # PostgreSQL of root runs as another user, who has to get to its own folder.
        path.chmod(0o711)
        self.folder = LabFolder(path)
        self._process = _spawn(self.folder, environment, private=True)
        try:
            self.state = _wait_until_up(self.folder, self._process, progress)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Take it down and wait until nothing of it is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        _wait_for_end(self._process)

    def fileno(self) -> int:
        """Our end of the pipe: the lab lives until every process that has it open has ended."""
        assert self._process.stdin is not None
        return self._process.stdin.fileno()


def _wait_for_end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(DOWN_LIMIT_S)
    if process.poll() is None:
        process.kill()  # its guard ends the rest
        process.wait()


def take_down(folder: LabFolder) -> bool:
    """Take a kept lab down; False if there was none.

    Raises:
        LabError: it is still there after the limit.

    """
    state = folder.read()
    if state is None or not folder.is_supervised():
        return False
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_LIMIT_S
    while folder.is_supervised():
        if time.monotonic() > deadline:
            raise LabError(
                f"the lab (process {state.pid}) did not end within {DOWN_LIMIT_S:g} s; "
                f"see {folder.supervisor_log}"
            )
        time.sleep(0.05)
    return True


def _spawn(
    folder: LabFolder, environment: Mapping[str, str], *, private: bool
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "infra.lab", "serve", str(folder.path)]
    with folder.supervisor_log.open("ab") as sink:
        return subprocess.Popen(
            [*command, "--private"] if private else command,
            stdin=subprocess.PIPE if private else subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            # A terminal's Ctrl-C is for the run; the lab has to outlive it to be read.
            start_new_session=True,
            cwd=ROOT,
            env=dict(environment),
        )


def _wait_until_up(
    folder: LabFolder, process: subprocess.Popen[bytes], progress: Callable[[str], None]
) -> LabState:
    limit = ProgressTimeout(SILENT_LIMIT_S)
    told = ""
    while True:
        has_ended = process.poll() is not None
        state = folder.read()
        if has_ended:
            why = (state and state.detail) or last_lines(folder.supervisor_log, 3)
            where = "" if str(folder.path) in why else f" (its logs: {folder.path})"
            raise LabError(f"the lab did not come up: {why}{where}")
        if state is not None and state.status == "up":
            return state
        if limit.is_over(folder.written_at()):
            raise LabError(
                f"the lab did not come up: its supervisor has said nothing for {SILENT_LIMIT_S:g} s"
                f"; see {folder.supervisor_log}"
            )
        now = _describe(state)
        if now != told:
            progress(now)
            told = now
        time.sleep(0.1)


def _describe(state: LabState | None) -> str:
    if state is None or not state.instances:
        return "starting PostgreSQL, Envoy and the control plane"
    healthy = sum(each.health == "healthy" for each in state.instances)
    return f"waiting for servers: {healthy} of {len(state.instances)} healthy"
