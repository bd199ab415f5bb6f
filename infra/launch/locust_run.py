"""One Locust process: signals are passed on to it, and its evidence is judged if it was killed."""

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from infra import ROOT
from infra.lab.processes.guard import Guard
from infra.launch.commands import OUR_FAULT, run_command, say
from infra.launch.left_faults import stop_faults
from infra.launch.request import Launch

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What Locust may take to end its users, close the evidence and judge it.
CLOSE_LIMIT_S = 600.0


class LocustRun:
    """One Locust process, and what has to be done when it has ended."""

    def __init__(
        self,
        launch: Launch,
        host: str,
        environment: Mapping[str, str],
        *,
        holds: Sequence[int] = (),
    ) -> None:
        """`holds` are the open files by which the lab is ours: it has to outlive Locust."""
        self._command = launch.command(host)
        self._environment = dict(environment)
        self._holds = holds
        self._process: subprocess.Popen[bytes] | None = None
        # Signals may come before Locust is there to receive them.
        self._early_signal: int | None = None

    def run(self) -> int:
        """Run Locust to its end and return the run's exit code."""
        # The guard: if we are killed, Locust is told to stop, which takes it a while.
        with Guard() as guard, self._signals_passed_on():
            folder = Path(tempfile.mkdtemp(prefix="chaos-run-"))
            guard.remove_folder(folder)
            run_file = folder / "runs"
            self._environment["CHAOS_RUN_FILE"] = str(run_file)
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                # A Ctrl-C comes from us, once; from the terminal as well it would come twice.
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                pass_fds=self._holds,
            )
            guard.add_group(self._process.pid, signal.SIGTERM, grace_s=CLOSE_LIMIT_S)
            if self._early_signal is not None:
                self._process.send_signal(self._early_signal)
            code = self._process.wait()
            guard.drop_group(self._process.pid)
            written = run_file.read_text(encoding="utf-8") if run_file.exists() else ""
            self.run_directories = written.split("\n")[:-1]
            return self._finish(code) if code < 0 else code

    def _finish(self, code: int) -> int:
        """Judge the evidence of a Locust that was killed."""
        name = signal.Signals(-code).name
        if not self.run_directories:
            say(f"Locust was ended by {name} before a run began")
            return OUR_FAULT
        directory = self.run_directories[-1]
        say(f"Locust was ended by {name}; its evidence is judged all the same")
        stop_faults(self._environment, "--run", directory)
        code = run_command("analysis", "finish", directory, environment=self._environment)
        return code if code >= 0 else OUR_FAULT

    @contextlib.contextmanager
    def _signals_passed_on(self) -> Iterator[None]:
        def pass_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
            # To Locust a closed terminal is a request to end like any other.
            wanted = signal.SIGTERM if number == signal.SIGHUP else number
            if self._process is None:
                self._early_signal = wanted
            elif self._process.poll() is None:
                self._process.send_signal(wanted)

        before = {
            number: signal.signal(number, pass_on)
            for number in ENDING
            if signal.getsignal(number) != signal.SIG_IGN  # nohup, or a job in the background
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
