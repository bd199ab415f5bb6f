"""A locustfile: customers without rest, whose ledger is taken away every other second.

Both halves of a pair are the same process, users and connections, so that whatever else the
machine does meets both. What it found is in the file that CHAOS_BENCH_RESULT names.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import gevent
from locust import constant, events, task
from locust.env import Environment

from locustfiles import _customer
from locustfiles._customer import Customer
from locustfiles._ledger import Ledger

SLICE_S = 1.0
_KEPT = ("sent", "ended", "request")


class Buyer(Customer):
    """Reads and orders by turns."""

    wait_time = constant(0)

    @task
    def look(self) -> None:
        """One request that waits in the ledger's memory."""
        self.read("/products/1", "/products/{id}", named=1)

    @task
    def order(self) -> None:
        """One request with two lines of its own."""
        self.place_order(1, 1)


class _Switch:
    """Takes the recording of attempts and requests away from this process, and gives it back."""

    def __init__(self) -> None:
        self._methods = {name: getattr(Ledger, name) for name in _KEPT}
        self._records = {name: getattr(_customer, name) for name in ("AttemptEnded", "RequestDone")}

    def set(self, *, keeps: bool) -> None:
        for name, method in self._methods.items():
            setattr(Ledger, name, method if keeps else _nothing)
        for name, record in self._records.items():
            setattr(_customer, name, record if keeps else _nothing)


def _nothing(*_: object, **__: object) -> None:
    return


def _measure(environment: Environment) -> None:
    """Slices with and without by turns; requests, seconds and CPU seconds of each."""
    found: list[dict[str, Any]] = []
    switch = _Switch()
    gevent.sleep(1)
    for number in range(int(os.environ["CHAOS_BENCH_PAIRS"]) * 2):
        keeps = number % 4 in (0, 3)  # with, without, without, with: a drift meets both
        switch.set(keeps=keeps)
        before = (environment.stats.total.num_requests, time.perf_counter(), time.process_time())
        gevent.sleep(SLICE_S)
        after = (environment.stats.total.num_requests, time.perf_counter(), time.process_time())
        requests, seconds, cpu_s = (b - a for a, b in zip(before, after, strict=True))
        found.append(
            {"keeps": keeps, "requests": requests, "per_second": requests / seconds, "cpu_s": cpu_s}
        )
    switch.set(keeps=True)
    Path(os.environ["CHAOS_BENCH_RESULT"]).write_text(json.dumps(found), encoding="utf-8")
    assert environment.runner is not None
    environment.runner.quit()


def _start(environment: Environment, **_: object) -> None:
    gevent.spawn(_measure, environment)


events.test_start.add_listener(_start)  # type: ignore[no-untyped-call]
