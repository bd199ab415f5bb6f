"""Does /health answer within its 5 s while the database hangs and orders pile up?"""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from tests.bench.measurement import Measurement, median
from tests.bench.stage import Stage

HEALTH_LIMIT_S = 5.0
SECONDS = 12
CONNECTIONS = 300
PROBES = 4


def measure(stage: Stage) -> list[Measurement]:
    """The share of health checks that were answered in time, and the slowest of ours."""
    found = []
    for name, port, goal in (
        ("article's design", stage.start_articles(), None),
        ("ours", stage.start_ours(), 100.0),
    ):
        with stage.hung_database():
            took_s = _probe_under_load(port)
        in_time = [100.0 * (each < HEALTH_LIMIT_S) for each in took_s]
        share = sum(in_time) / len(in_time)
        found.append(median(f"hung database: /health in time, {name}", [share], "%", at_least=goal))
        found.append(median(f"hung database: /health, {name}", took_s, "s"))
    return found


def _probe_under_load(port: int) -> list[float]:
    script = str(Path(__file__).with_name("load.py"))
    command = [sys.executable, script, str(port), str(SECONDS), str(CONNECTIONS), "10"]
    load = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    took_s: list[float] = []
    until = time.monotonic() + SECONDS

    def probe() -> None:
        while time.monotonic() < until:
            started = time.monotonic()
            took_s.append(_ask(port))
            time.sleep(max(0.0, 0.2 - (time.monotonic() - started)))

    probes = [threading.Thread(target=probe) for _ in range(PROBES)]
    time.sleep(1)  # the orders come first, and take what workers there are
    for each in probes:
        each.start()
    for each in probes:
        each.join()
    load.kill()
    load.wait()
    return took_s


def _ask(port: int) -> float:
    """Seconds until a healthy answer; the limit where there was none."""
    started = time.monotonic()
    try:
        url = f"http://127.0.0.1:{port}/health"
        with urllib.request.urlopen(url, timeout=HEALTH_LIMIT_S) as answer:
            is_healthy = json.load(answer) == {"status": "healthy"}
    except OSError:
        return HEALTH_LIMIT_S
    return time.monotonic() - started if is_healthy else HEALTH_LIMIT_S
