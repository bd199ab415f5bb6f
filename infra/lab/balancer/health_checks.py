"""The load balancer's health checks, at an ALB's pace.

Envoy has checks of its own, but counts its interval from the end of a check to the start of
the next: a target that has gone silent then takes up to 45 s to fail three checks of 5 s that
are 10 s apart, an ALB 35 s. So checks are made here, and Envoy routes by what they say.
"""

import http.client
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from infra.lab.settings import LabSettings

_PASSED = 200
_PARALLEL = 16


class Opinion(StrEnum):
    """What health checks say of one target."""

    CHECKING = "checking"
    HEALTHY = "healthy"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    WRONG_STATUS = "wrong status"


@dataclass(slots=True, kw_only=True)
class Record:
    """The checks of one target so far, and what they amount to."""

    rules: LabSettings
    due: float = 0.0
    is_running: bool = False
    opinion: Opinion = Opinion.CHECKING
    _passes: int = 0
    _failures: int = 0

    def note(self, result: Opinion) -> None:
        """Take one check's result into account.

        A new target is healthy after one pass, an unhealthy one after the threshold of passes
        in a row; any target is unhealthy after the threshold of failures in a row.
        """
        if result is Opinion.HEALTHY:
            self._passes += 1
            self._failures = 0
            needed = 1 if self.opinion is Opinion.CHECKING else self.rules.healthy_threshold
            if self._passes >= needed:
                self.opinion = Opinion.HEALTHY
        else:
            self._failures += 1
            self._passes = 0
            if self._failures >= self.rules.unhealthy_threshold:
                self.opinion = result


Target = tuple[str, int]
Check = Callable[[Target, float], Opinion]


class HealthChecks:
    """Checks all targets when they are due, start to start, and knows how each stands."""

    def __init__(self, rules: LabSettings, *, check: Check | None = None) -> None:
        self._rules = rules
        self._check = check or request_health
        self._lock = threading.Lock()
        self._targets: dict[Target, Record] = {}
        self._workers = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="health-check")

    def watch(self, targets: list[Target], now: float) -> None:
        """Check these and no others; a new one at once."""
        with self._lock:
            for gone in self._targets.keys() - set(targets):
                del self._targets[gone]
            for target in targets:
                if target not in self._targets:
                    self._targets[target] = Record(rules=self._rules, due=now)

    def tick(self, now: float) -> None:
        """Start the checks that are due."""
        with self._lock:
            for target, record in self._targets.items():
                if now >= record.due and not record.is_running:
                    record.is_running = True
                    record.due = max(record.due + self._rules.health_check_interval_s, now)
                    self._workers.submit(self._run, target, record)

    def opinions(self) -> dict[Target, Opinion]:
        """How each target stands."""
        with self._lock:
            return {target: each.opinion for target, each in self._targets.items()}

    def close(self) -> None:
        """Start no more checks."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _run(self, target: Target, record: Record) -> None:
        result = self._check(target, self._rules.health_check_timeout_s)
        with self._lock:
            record.note(result)
            record.is_running = False


def request_health(target: Target, timeout_s: float) -> Opinion:
    """One check: GET /health must answer 200 within the time, body included."""
    deadline = time.monotonic() + timeout_s
    connection = http.client.HTTPConnection(*target, timeout=timeout_s)
    try:
        connection.request("GET", "/health", headers={"User-Agent": "ELB-HealthChecker/2.0"})
        reply = connection.getresponse()
        reply.read()
    except TimeoutError:
        return Opinion.TIMED_OUT
    except (OSError, http.client.HTTPException):
        return Opinion.FAILED
    finally:
        connection.close()
    if time.monotonic() > deadline:
        return Opinion.TIMED_OUT
    return Opinion.HEALTHY if reply.status == _PASSED else Opinion.WRONG_STATUS
