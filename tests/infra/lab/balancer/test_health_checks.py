"""Health checks at an ALB's pace."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.lab.balancer.health_checks import (
    HealthChecks,
    Opinion,
    Record,
    Target,
    request_health,
)
from infra.lab.processes.ports import free_port
from infra.lab.servers.silent_address import SilentAddress
from infra.lab.settings import LabSettings

RULES = LabSettings(
    health_check_interval_s=10,
    health_check_timeout_s=5,
    unhealthy_threshold=3,
    healthy_threshold=2,
)
PASS, FAIL = Opinion.HEALTHY, Opinion.FAILED


def opinion_after(*results: Opinion) -> Opinion:
    record = Record(rules=RULES)
    for result in results:
        record.note(result)
    return record.opinion


def test_a_new_target_is_healthy_after_one_pass() -> None:
    assert opinion_after(PASS) is Opinion.HEALTHY
    assert opinion_after(FAIL, FAIL, PASS) is Opinion.HEALTHY


def test_a_healthy_target_is_failed_by_three_failures_in_a_row() -> None:
    assert opinion_after(PASS, FAIL, FAIL) is Opinion.HEALTHY
    assert opinion_after(PASS, FAIL, FAIL, PASS, FAIL, FAIL) is Opinion.HEALTHY
    assert opinion_after(PASS, FAIL, FAIL, Opinion.TIMED_OUT) is Opinion.TIMED_OUT


def test_an_unhealthy_target_needs_two_passes_in_a_row() -> None:
    unhealthy = (FAIL, FAIL, FAIL)
    assert opinion_after(*unhealthy, PASS) is FAIL
    assert opinion_after(*unhealthy, PASS, FAIL, PASS) is FAIL
    assert opinion_after(*unhealthy, PASS, PASS) is Opinion.HEALTHY


@given(st.floats(0, 10), st.sampled_from([0.0, 5.0]))
def test_a_dead_target_fails_within_the_documented_time(offset: float, lasts: float) -> None:
    """Three checks 10 s apart with a 5 s timeout: 20 to 35 s after the target died."""
    record = Record(rules=RULES)
    record.note(PASS)
    starts = [offset + number * RULES.health_check_interval_s for number in range(3)]
    for _ in starts:
        record.note(FAIL)
    assert record.opinion is FAIL
    assert 20 <= starts[-1] + lasts <= 35


def test_checks_are_counted_from_start_to_start() -> None:
    started: list[float] = []
    released = threading.Event()

    def slow(target: Target, timeout_s: float) -> Opinion:
        started.append(now)
        released.wait(5)
        return Opinion.TIMED_OUT

    checks = HealthChecks(RULES, check=slow)
    now = 100.0
    checks.watch([("127.0.0.1", 1)], now)
    checks.tick(now)
    now = 105.0  # the first is over by now
    released.set()
    wait_until_idle(checks)
    for now in (109.9, 110.0, 115.0, 120.0):
        checks.tick(now)
        wait_until_idle(checks)
    checks.close()
    assert started == [100.0, 110.0, 120.0]
    assert list(checks.opinions().values()) == [Opinion.TIMED_OUT]


def wait_until_idle(checks: HealthChecks) -> None:
    deadline = time.monotonic() + 5
    while any(each.is_running for each in checks._targets.values()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("status", "opinion"), [(200, Opinion.HEALTHY), (500, Opinion.WRONG_STATUS)]
)
def test_only_200_passes(status: int, opinion: Opinion) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert request_health(("127.0.0.1", server.server_port), 5) is opinion
        server.shutdown()


def test_a_closed_port_fails_and_a_black_hole_times_out() -> None:
    port = free_port()
    assert request_health(("127.0.0.1", port), 1) is Opinion.FAILED
    hole = SilentAddress("127.0.0.1", port)
    try:
        assert request_health(("127.0.0.1", port), 0.3) is Opinion.TIMED_OUT
        with socket.socket() as client:
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.connect(("127.0.0.1", port))
    finally:
        hole.close()
    assert request_health(("127.0.0.1", port), 1) is Opinion.FAILED
