"""Real Locust processes for tests, and what they leave in a run's directory."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from analysis.evidence.errors import TornLine
from analysis.evidence.ledger.line_records import AttemptEnded, AttemptSent, LedgerLine, parse_line
from tests.harness.forked_locust import ForkedLocust, start_locust
from tests.harness.ledgers import recorded

ROOT = Path(__file__).resolve().parents[2]


def wait_until(is_so: Callable[[], object], *, within_s: float = 150.0) -> None:
    """Wait for something to become true; a test that waits in vain fails here."""
    give_up_at = time.monotonic() + within_s
    while True:
        asked_at = time.monotonic()
        if is_so():
            return
        assert asked_at < give_up_at, "this never became true"
        # What takes long to find out is asked for less often: those who are waited for need to run.
        time.sleep(max(0.02, 5 * (time.monotonic() - asked_at)))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _start_inside(
    inside: Sequence[str], arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*inside, sys.executable, "-m", "locust", *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


class Locust:
    """One Locust process (and its workers), and the run directory that it was told to use."""

    def __init__(self, process: subprocess.Popen[str] | ForkedLocust, run: Path) -> None:
        self.process = process
        self.run = run
        self.output = ""
        self.errors = ""

    def wait(self, *, within_s: float = 120.0) -> int:
        self.output, self.errors = self.process.communicate(timeout=within_s)
        return self.process.wait()

    def stop_when(self, is_so: Callable[[], object]) -> int:
        """Let it run until something has become true, and end it as Ctrl-C does."""
        wait_until(is_so)
        self.tell(signal.SIGINT)
        return self.wait()

    def tell(self, what: signal.Signals) -> None:
        self.process.send_signal(what)

    def kill_all(self) -> None:
        """kill -9 for the process and its workers."""
        with suppress(ProcessLookupError):  # none of them is left
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    # --- what it wrote ---

    def run_json(self) -> dict[str, Any]:
        content = json.loads((self.run / "run.json").read_text())
        assert isinstance(content, dict)
        return content

    def events(self, source: str = "") -> list[dict[str, str]]:
        return [row for row in self.table("events.csv") if source in ("", row["source"])]

    def event_names(self, source: str = "") -> list[str]:
        return [row["event"] for row in self.events(source)]

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.run / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def ledger(self) -> list[LedgerLine]:
        """Every whole line of every ledger; a torn one may only be the last of its file."""
        lines: list[LedgerLine] = []
        for path in sorted((self.run / "ledger").glob("*.jsonl")):
            raw = recorded(path).splitlines(keepends=True)
            for number, line in enumerate(raw, 1):
                try:
                    lines.append(parse_line(line))
                except TornLine:
                    assert number == len(raw)
        return lines

    def sent(self) -> dict[str, AttemptSent]:
        return {line.attempt_id: line for line in self.ledger() if isinstance(line, AttemptSent)}

    def ended(self) -> dict[str, AttemptEnded]:
        return {line.attempt_id: line for line in self.ledger() if isinstance(line, AttemptEnded)}


class Load:
    """Starts Locusts, each in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Locust] = []
        # A master's own port: others on this machine may run one too.
        port = str(_free_port())
        self.environment = {"LOCUST_MASTER_BIND_PORT": port, "LOCUST_MASTER_NODE_PORT": port}

    def start(self, host: str, *arguments: str, run_dir: bool = True) -> Locust:
        """`locust -f locustfiles` headless; later arguments win over these."""
        run = self.folder / f"run{len(self._started)}"
        command = [
            *(("-H", host) if host else ()),
            *("--headless", "--only-summary", "-u", "10", "-r", "100", "-t", "3s", "-s", "8"),
            *(("--run-dir", str(run)) if run_dir else ()),
            *arguments,
        ]
        return self._start(command, run=run, folder=self.folder)

    def serve(self, *arguments: str) -> Locust:
        """Locust with its web UI on 127.0.0.1; its runs are in `runs` below our folder."""
        command = ["--web-host", "127.0.0.1", *arguments]
        return self._start(command, run=self.folder, folder=self.folder)

    def start_worker(
        self, port: int, *arguments: str, inside: Sequence[str] = (), **environment: str
    ) -> Locust:
        """`locust --worker` of a master on `port`, in a folder of its own.

        `inside` is a command that runs the rest of its line; `environment` is added to.
        """
        folder = self.folder / f"worker{len(self._started)}"
        folder.mkdir()
        command = ["--worker", "--master-host", "127.0.0.1", "--master-port", str(port), *arguments]
        return self._start(command, run=folder, folder=folder, inside=inside, **environment)

    def _start(
        self,
        command: Sequence[str],
        *,
        run: Path,
        folder: Path,
        inside: Sequence[str] = (),
        **more: str,
    ) -> Locust:
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AWS_", "CHAOS_", "LOCUST_", "DATABASE_"))
        }
        environment |= {"PYTHONPATH": str(ROOT), **self.environment, **more}
        arguments = ["-f", str(ROOT / "locustfiles"), *command]
        locust = Locust(
            _start_inside(inside, arguments, cwd=folder, env=environment)
            if inside
            else start_locust(arguments, cwd=folder, env=environment),
            run,
        )
        self.adopt(locust)
        return locust

    def adopt(self, locust: Locust) -> None:
        """See that it is ended with those that were started here."""
        self._started.append(locust)

    def complete(self, host: str, *arguments: str) -> Locust:
        locust = self.start(host, *arguments)
        locust.wait()
        return locust

    def end(self) -> None:
        for locust in self._started:
            if locust.process.poll() is None:
                locust.kill_all()
            for stream in (locust.process.stdout, locust.process.stderr):
                if stream is not None:
                    stream.close()
