"""Two ways to load a server by turns within one Locust process, 60 ms each.

Both halves of a pair are the same process, so that whatever else the machine does meets both. What
was found is in the file that CHAOS_BENCH_RESULT names.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gevent
from locust import events
from locust.env import Environment

from harness.customers.current_run import current_run
from harness.errors import LedgerFailed
from harness.record.ledger import Ledger

# So short that what else the machine does seldom changes within a pair.
SLICE_S = 0.06
_SETTLE_S = 0.02

Switch = Callable[[bool], None]


def measure_slices(switch: Switch) -> None:
    """When the test starts and a result is asked for, measure with `switch` on and off by turns."""

    def start(environment: Environment, **_: object) -> None:
        if "CHAOS_BENCH_RESULT" in os.environ:
            gevent.spawn(_measure, environment, switch)

    events.test_start.add_listener(start)  # type: ignore[no-untyped-call]


def _measure(environment: Environment, switch: Switch) -> None:
    """Requests per second and CPU time per request of each slice."""
    found: list[dict[str, float]] = []
    gevent.sleep(2)
    for number in range(int(os.environ["CHAOS_BENCH_PAIRS"]) * 2):
        is_on = number % 4 in (0, 3)  # with, without, without, with: a drift meets both
        switch(is_on)
        gevent.sleep(_SETTLE_S)
        _flush(environment)
        before = _reading(environment)
        gevent.sleep(SLICE_S)
        _flush(environment)  # what the slice has put off is its own
        after = _reading(environment)
        requests, seconds, cpu_s = (b - a for a, b in zip(before, after, strict=True))
        found.append(
            {"is_on": is_on, "per_second": requests / seconds, "cpu_us": cpu_s / requests * 1e6}
        )
    switch(True)
    result = Path(os.environ["CHAOS_BENCH_RESULT"])
    beside = result.with_suffix(".part")
    beside.write_text(json.dumps(found), encoding="utf-8")
    beside.rename(result)


def _flush(environment: Environment) -> None:
    with suppress(LedgerFailed):  # where nothing of ours is loaded
        ledger = current_run(environment).recording.ledger
        if isinstance(ledger, Ledger):
            ledger.flush()


def _reading(environment: Environment) -> tuple[float, float, float]:
    return environment.stats.total.num_requests, time.perf_counter(), time.process_time()
