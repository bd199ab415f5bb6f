"""Locust with restless shoppers, against a server that answers at once and counts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEDGER_LOAD = Path(__file__).with_name("ledger_load.py")
PLAIN_LOAD = Path(__file__).with_name("plain_load.py")
USERS = 20
_LIMIT_S = 240.0


class QuickServer:
    """tests/bench/quick_server.py as a process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("quick_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def close(self) -> int:
        """End it; how many requests it has read."""
        output, _ = self._process.communicate(timeout=30)
        return int(output or 0)


@contextmanager
def quick_server() -> Iterator[QuickServer]:
    """A server that is gone afterwards."""
    server = QuickServer()
    try:
        yield server
    finally:
        server._process.kill()
        server._process.communicate()


@contextmanager
def restless_load(
    run: Path, url: str, *arguments: str, load: Path = LEDGER_LOAD, **environment: str
) -> Iterator[None]:
    """Locust, killed afterwards: its ledgers are all that is wanted of it."""
    run.parent.mkdir(parents=True, exist_ok=True)
    locust = subprocess.Popen(
        [
            *(sys.executable, "-m", "locust", "-H", url, "--headless", "--only-summary"),
            *("-f", str(load), "-u", str(USERS)),
            *("-r", "1000", "-s", "5", "--run-dir", str(run), *arguments),
        ],
        cwd=run.parent,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "PYTHONPATH": str(ROOT)}
        | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(locust.pid, signal.SIGKILL)
        locust.wait()


def wait_until(is_so: Callable[[], object]) -> None:
    """Wait for something that is about to be there."""
    give_up_at = time.monotonic() + _LIMIT_S
    while not is_so():
        if time.monotonic() > give_up_at:
            raise RuntimeError("the load did not get as far as it should")
        time.sleep(0.1)
