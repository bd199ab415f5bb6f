"""Retries and watermarks by the real Locust, against a shop that answers every which way."""

import itertools
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.evidence.ledger.line_records import AttemptEnded, AttemptSent
from analysis.evidence.records import Outcome, parse_time
from tests.harness.load import Load, Locust
from tests.harness.shop_server import Arrival, Shop, reply, serve

pytestmark = pytest.mark.slow

# Orders alone, through either of Locust's clients.
LOCUSTFILE = """
from locust import constant, task
from harness.customers.customer import Customer, RequestsCustomer

class Buyer({customer}):
    wait_time = constant(0.1)

    @task
    def order(self):
        self.order_one_of([1, 2, 3])
"""
# Longer than any pause before a retry, by as much as a busy machine may need. In microseconds.
RETRIED_BY_THEN = 3_500_000
IN_PROGRESS = b'{"type": "tag:chaos-shop.example,2026:key-in-progress"}'
# way: the reply, and whether it leaves a customer with a key hope; without one only the first do.
WAYS: dict[str, tuple[bytes, bool]] = {
    "closed": (b"", True),
    "502": (reply("502 Bad Gateway", b""), True),
    "503 later": (reply("503 Service Unavailable", b"", "Retry-After: 1"), True),
    "429": (reply("429 Too Many Requests", b""), True),
    "in progress": (reply("409 Conflict", IN_PROGRESS), True),
    "sold out": (reply("409 Conflict", b'{"type": "insufficient-stock"}'), False),
    "good": (reply("201 Created", b'{"order_id": 7}'), False),
    "503 much later": (reply("503 Service Unavailable", b"", "Retry-After: 3000"), False),
}


class Moody:
    """Answers each order in the next of the ways, and remembers which."""

    def __init__(self) -> None:
        self.ways = itertools.cycle(WAYS)
        self.met: dict[str, str] = {}

    def __call__(self, connection: socket.socket, arrival: Arrival) -> bool:
        way = self.met[arrival.headers["x-request-id"]] = next(self.ways)
        connection.sendall(WAYS[way][0])
        return True


@pytest.fixture(scope="module", params=["keyed", "blind"])
def repeated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Locust, Moody]]:
    load, moody = Load(Path(tmp_path_factory.mktemp("repeats"))), Moody()
    customer = {"keyed": "Customer", "blind": "RequestsCustomer"}[request.param]
    with serve() as shop:
        shop.misbehave = moody
        options = ("--retry", request.param, "--retry-attempts", "3", "--retry-backoff", "0.1")
        locust = load.start(
            shop.url, "-f", _locustfile(load, customer), *options, "-u", "8", "-t", "60s"
        )
        locust.stop_when(lambda: _meets_all_in_good_time(locust, moody))
        yield request.param, locust, moody
    load.end()


def test_retry_is_of_the_same_thing_and_of_the_same_order_only_if_keyed(
    repeated: tuple[str, Locust, Moody],
) -> None:
    kind, locust, _ = repeated
    sent = locust.sent()
    retries = [each for each in sent.values() if each.retry_of]
    assert {each.attempt_no for each in retries} == {2, 3}
    for retry in retries:
        earlier = sent[retry.retry_of]
        assert retry.attempt_no == earlier.attempt_no + 1
        assert (retry.order_key == earlier.order_key) is (kind == "keyed")
        same = ("product_id", "quantity", "user_id")
        assert [getattr(retry, each) for each in same] == [getattr(earlier, each) for each in same]
        assert retry.trace_id != earlier.trace_id
    assert len({each.retry_of for each in retries}) == len(retries)
    firsts = [each for each in sent.values() if not each.retry_of]
    assert {each.attempt_no for each in firsts} == {1}


def test_only_what_leaves_hope_is_repeated_and_that_always(
    repeated: tuple[str, Locust, Moody],
) -> None:
    kind, locust, moody = repeated
    hopeful = {way for way, (_, has_hope) in WAYS.items() if has_hope}
    if kind == "blind":
        hopeful.remove("in progress")
    repeats = {each.retry_of for each in locust.sent().values()}
    seen = set()
    for attempt, ended in _ended_before(locust, _stopping_at(locust) - RETRIED_BY_THEN):
        if ended.outcome is Outcome.UNSENT:  # a busy machine's doing: it met nobody
            continue
        way = moody.met[attempt.attempt_id]
        expected = way in hopeful and attempt.attempt_no < 3
        assert (ended.attempt_id in repeats) is expected, way
        seen.add(way)
    assert seen == set(WAYS)


def test_retry_never_comes_sooner_than_the_shop_asked_for(
    repeated: tuple[str, Locust, Moody],
) -> None:
    _, locust, moody = repeated
    sent, ended = locust.sent(), locust.ended()
    pauses = [
        (each.sent_at or 0) - ended[each.retry_of].ended_at
        for each in sent.values()
        if moody.met.get(each.retry_of) == "503 later"
    ]
    assert pauses
    assert min(pauses) >= 1_000_000


def test_no_retry_begins_once_the_run_is_stopping(repeated: tuple[str, Locust, Moody]) -> None:
    _, locust, _ = repeated
    assert max(each.sent_at or 0 for each in locust.sent().values()) <= _stopping_at(locust)


def test_watermarks_that_run_out_are_said(load: Load, shop: Shop) -> None:
    shop.misbehave = lambda _connection, _arrival: True  # close without an answer
    options = ("--watermark", "--order-quantity-max", "1", "-u", "3", "-t", "60s")
    locust = load.start(shop.url, "-f", _locustfile(load, "Customer"), *options)
    locust.stop_when(lambda: len(shop.attempt_ids()) > 20)
    sent = locust.sent()
    first, total = [
        row["detail"] for row in locust.events() if row["event"] == "watermark_exhausted"
    ]
    assert "no product and quantity up to 1 is free" in first
    assert f"{len(sent) - 3} orders may be mistaken for others" in total
    assert first in locust.errors
    assert {end.outcome for end in locust.ended().values()} == {Outcome.INDETERMINATE}


def _locustfile(load: Load, customer: str) -> str:
    path = load.folder / "buyers.py"
    path.write_text(LOCUSTFILE.format(customer=customer))
    return str(path)


def _meets_all_in_good_time(locust: Locust, moody: Moody) -> bool:
    """Whether attempts have met all ways long enough ago for their retries to have begun."""
    by_now = _ended_before(locust, time.time_ns() // 1000 - RETRIED_BY_THEN)
    return {moody.met.get(sent.attempt_id) for sent, _ in by_now} >= set(WAYS)


def _ended_before(locust: Locust, at: int) -> list[tuple[AttemptSent, AttemptEnded]]:
    sent, ended = locust.sent(), locust.ended()
    return [(sent[each], end) for each, end in ended.items() if end.ended_at < at]


def _stopping_at(locust: Locust) -> int:
    (at,) = [row["at"] for row in locust.events() if row["event"] == "run_stopping"]
    return parse_time(at)
