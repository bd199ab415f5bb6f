"""What it costs to look: requests per second with the Chaos page polled and not, by turns.

The page is asked over HTTP, once a second, from a process of its own, as a browser does it; that
there is a web UI which counts, and a browser that draws elsewhere, both halves have.
"""

import http.client
import json
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path

from tests.bench.measurement import Measurement, median
from tests.bench.restless import quick_server, restless_load, wait_until
from tests.bench.stage import Stage

PAIRS = 30
BLOCKS = 6
GOAL = 0.97


def measure(stage: Stage) -> list[Measurement]:
    """The ratio is that of pairs of two seconds each, in the middle of one load."""
    with tempfile.TemporaryDirectory() as name:
        slices, asked = _run_pairs(Path(name))
    pairs = [
        sorted(pair, key=lambda each: each["is_watched"])
        for pair in zip(slices[::2], slices[1::2], strict=True)
    ]
    speed = [watched["per_second"] / bare["per_second"] for bare, watched in pairs]
    work = [bare["cpu_us"] / watched["cpu_us"] for bare, watched in pairs]
    return [
        _median("page: requests/s with it open to without", speed, at_least=GOAL),
        _median("page: the same by CPU time per request", work),
        median("page: without it", [bare["per_second"] for bare, _ in pairs], "requests/s"),
        median("page: an answer to its question", asked, "ms"),
    ]


def _median(name: str, ratios: list[float], *, at_least: float | None = None) -> Measurement:
    """The median of blocks, each of which is the median of its pairs."""
    size = len(ratios) // BLOCKS
    blocks = [statistics.median(ratios[n * size : (n + 1) * size]) for n in range(BLOCKS)]
    return median(name, blocks, "times", at_least=at_least)


def _run_pairs(folder: Path) -> tuple[list[dict[str, float]], list[float]]:
    result, watch = folder / "result.json", folder / "watch"
    port = _free_port()
    asked: list[float] = []
    over = threading.Event()
    viewer = threading.Thread(target=_look, args=(port, watch, over, asked))
    variables = {
        "CHAOS_BENCH_RESULT": str(result),
        "CHAOS_BENCH_PAIRS": str(PAIRS),
        "CHAOS_BENCH_WATCH": str(watch),
    }
    arguments = ("--headful", "--autostart", "--web-host", "127.0.0.1", "--web-port", str(port))
    with (
        quick_server() as server,
        restless_load(
            folder / "run",
            server.url,
            *arguments,
            load=Path(__file__).with_name("page_load.py"),
            **variables,
        ),
    ):
        viewer.start()
        try:
            wait_until(result.exists)
        finally:
            over.set()
            viewer.join()
    found: list[dict[str, float]] = json.loads(result.read_text())
    return found, asked


def _look(port: int, watch: Path, over: threading.Event, asked: list[float]) -> None:
    """Ask what the page asks, once a second, while the load wants to be watched."""
    run, since, after = "", 0, 0
    while not over.wait(1.0 if _is_on(watch) else 0.05):
        if not _is_on(watch):
            continue
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", f"/chaos/live?run={run}&since={since}&after={after}")
        view = json.loads(connection.getresponse().read())
        connection.close()
        asked.append((time.perf_counter() - began) * 1000)
        run = view["run"]["id"]
        since = max([since, *(each["at"] for each in view["seconds"])])
        after = max([after, *(each["number"] for each in view["events"])])


def _is_on(watch: Path) -> bool:
    return watch.exists() and watch.read_text(encoding="utf-8") == "1"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
