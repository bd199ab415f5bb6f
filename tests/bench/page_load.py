"""A locustfile: shoppers without rest, and somebody who looks at the Chaos page by turns.

Both halves of a pair are the same process, users and connections. What it found is in the file
that CHAOS_BENCH_RESULT names.
"""

import json
import os
import time
from pathlib import Path

import gevent
from locust import constant, events
from locust.env import Environment

from locustfiles import shoppers

SLICE_S = 2.0


class Restless(shoppers.Shopper):
    """As many requests as one process can make, in the shoppers' own mixture."""

    wait_time = constant(0)


def _measure(environment: Environment) -> None:
    """Slices watched and not, by turns: with the page's question once a second, and without."""
    gevent.sleep(3)
    found: list[dict[str, float]] = []
    for number in range(int(os.environ["CHAOS_BENCH_PAIRS"]) * 2):
        is_watched = number % 4 in (0, 3)  # a drift meets both
        Path(os.environ["CHAOS_BENCH_WATCH"]).write_text(str(int(is_watched)), encoding="utf-8")
        gevent.sleep(0.1)
        before = _reading(environment)
        gevent.sleep(SLICE_S)
        after = _reading(environment)
        requests, seconds, cpu_s = (b - a for a, b in zip(before, after, strict=True))
        found.append(
            {
                "is_watched": is_watched,
                "per_second": requests / seconds,
                "cpu_us": cpu_s / requests * 1e6,
            }
        )
    beside = Path(os.environ["CHAOS_BENCH_RESULT"] + ".part")
    beside.write_text(json.dumps(found), encoding="utf-8")
    beside.rename(os.environ["CHAOS_BENCH_RESULT"])


def _reading(environment: Environment) -> tuple[float, float, float]:
    return environment.stats.total.num_requests, time.perf_counter(), time.process_time()


def _start(environment: Environment, **_: object) -> None:
    if "CHAOS_BENCH_RESULT" in os.environ:
        gevent.spawn(_measure, environment)


events.test_start.add_listener(_start)  # type: ignore[no-untyped-call]
