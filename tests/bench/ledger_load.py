"""A locustfile: shoppers without rest, whose ledger is taken away every other quarter of a second.

Both halves of a pair are the same process, users and connections, so that whatever else the
machine does meets both. What it found is in the file that CHAOS_BENCH_RESULT names.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import gevent
from locust import constant, events
from locust.env import Environment

from locustfiles import _recording, shoppers
from locustfiles._ledger import Ledger
from locustfiles._process import process

SLICE_S = 0.25
_KEPT = ("sent", "ended", "request")
_RECORDS = ("AttemptEnded", "RequestDone")


class Restless(shoppers.Shopper):
    """As many requests as one process can make, in the shoppers' own mixture."""

    wait_time = constant(0)


class _Switch:
    """Takes the recording of attempts and requests away from this process, and gives it back."""

    def __init__(self) -> None:
        self._methods = {name: getattr(Ledger, name) for name in _KEPT}
        self._records = {name: getattr(_recording, name) for name in _RECORDS}

    def set(self, *, keeps: bool) -> None:
        for name, method in self._methods.items():
            setattr(Ledger, name, method if keeps else _nothing)
        for name, record in self._records.items():
            setattr(_recording, name, record if keeps else _nothing)


def _nothing(*_: object, **__: object) -> None:
    return


def _measure(environment: Environment) -> None:
    """Slices with and without by turns; requests, seconds and CPU seconds of each."""
    found: list[dict[str, float]] = []
    switch = _Switch()
    gevent.sleep(2)
    for number in range(int(os.environ["CHAOS_BENCH_PAIRS"]) * 2):
        keeps = number % 4 in (0, 3)  # with, without, without, with: a drift meets both
        switch.set(keeps=keeps)
        before = _reading(environment)
        gevent.sleep(SLICE_S)
        if keeps:
            process.ledger.flush()  # what the slice has put off is its own
        after = _reading(environment)
        requests, seconds, cpu_s = (b - a for a, b in zip(before, after, strict=True))
        found.append(
            {"keeps": keeps, "per_second": requests / seconds, "cpu_us": cpu_s / requests * 1e6}
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
