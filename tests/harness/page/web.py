"""Locust with its web UI as a process, and what answers at its address."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.harness.forked_locust import ForkedLocust, start_locust

ROOT = Path(__file__).resolve().parents[3]
_RISE_S = 60.0
_Process = subprocess.Popen[bytes] | ForkedLocust


def serving(
    command: Sequence[str], *, cwd: Path, log: Path, **environment: str
) -> AbstractContextManager[str]:
    """Run it until it answers at --web-port, which is added; gives its URL, ends it in order."""

    def start(wanted: Mapping[str, str]) -> _Process:
        with log.open("wb") as output:
            return subprocess.Popen(
                command, cwd=cwd, env=wanted, stdout=output, stderr=output, start_new_session=True
            )

    return _serving(start, log, environment)


def serving_locust(
    host: str, *arguments: str, cwd: Path, **environment: str
) -> AbstractContextManager[str]:
    """Our locustfiles and a login beside them, without AWS and without a database; so, too."""
    ours = [
        *("-H", host, "--web-host", "127.0.0.1"),
        *("-f", f"{ROOT / 'locustfiles'},{Path(__file__).with_name('login.py')}"),
        *("-u", "5", "-r", "50", "-s", "3"),
        *arguments,
    ]
    log = cwd / "log"
    return _serving(
        lambda wanted: start_locust(ours, cwd=cwd, env=wanted, log=log), log, environment
    )


@contextmanager
def _serving(
    start: Callable[[Mapping[str, str]], _Process], log: Path, environment: Mapping[str, str]
) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    wanted = {**os.environ, "PYTHONPATH": str(ROOT), "LOCUST_WEB_PORT": str(port), **environment}
    process = start(wanted)
    url = f"http://127.0.0.1:{port}"
    try:
        _await(url, process, log)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _await(url: str, process: _Process, log: Path) -> None:
    give_up_at = time.monotonic() + _RISE_S
    while time.monotonic() < give_up_at and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/chaos/assets/chaos.css", timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"no web UI came up:\n{log.read_text(errors='replace')[-3000:]}")
