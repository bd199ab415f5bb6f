"""The report of a run of a million requests, 200,000 of them orders: its size, and what it takes.

A long run in which each kind of failure happens all the time, so that the charts are as full as
they can be; and the comparison of that run with itself, in which nothing may have changed.
"""

import json
import random
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from analysis.compare.comparison import Change, compare
from analysis.compare.samples import load_side
from analysis.evidence.records import (
    Attempt,
    Event,
    OrderRow,
    Outcome,
    Product,
    Request,
    format_time,
)
from analysis.evidence.run_directory import REPORT_FILE, RunDirectory
from analysis.evidence.tables import ATTEMPTS, ORDERS, PRODUCTS, REQUESTS
from analysis.report.report_files import write_report
from analysis.verdict.judge_run import judge_run
from tests.bench.measurement import Measurement
from tests.bench.stage import Stage

ORDERS_MADE, READS_PER_ORDER = 200_000, 4
LASTS_S = 3600
NOON = 1_795_435_200_000_000
SECOND = 1_000_000
MOST_BYTES = 3_000_000
CAUSES = (
    *((500, ""), (502, ""), (503, ""), (504, "")),
    *((None, "timeout"), (None, "reset"), (200, "truncated")),
)
READS = ("/products", "/products/{id}", "/orders/{id}", "/health")
PRICE = Decimal("19.99")


def measure(_stage: Stage) -> list[Measurement]:
    """Write the run, judge it, and see how large its report is and how long it and others take."""
    with tempfile.TemporaryDirectory(prefix="chaos-shop-bench-") as folder:
        return _measure(write_run(Path(folder) / "million"))


def _measure(directory: RunDirectory) -> list[Measurement]:
    began = time.monotonic()
    judgement = judge_run(directory)
    judged_s = time.monotonic() - began
    began = time.monotonic()
    complaints = list(write_report(directory, judgement))
    drawn_s = time.monotonic() - began
    size = directory.size(REPORT_FILE)
    began = time.monotonic()
    side = load_side(directory.path)
    changed = [
        row for row in compare(side, [side], confidence=0.99)[0].rows if _is_change(row.change)
    ]
    compared_s = time.monotonic() - began
    return [
        _told("judging a million requests", judged_s, "s"),
        _told("their report", drawn_s, "s"),
        _told("their report's size", size, "bytes", at_most=MOST_BYTES, fails=bool(complaints)),
        _told("their comparison", compared_s, "s"),
        _told("changes in it", len(changed), "", at_most=0),
    ]


def _is_change(change: Change) -> bool:
    return change in {Change.BETTER, Change.WORSE}


def _told(
    name: str, value: float, unit: str, *, at_most: float | None = None, fails: bool = False
) -> Measurement:
    value = round(value, 2)
    return Measurement(
        name=name,
        value=value,
        low=value,
        high=value,
        unit=unit,
        goal="" if at_most is None else f"<= {at_most:g}",
        holds=not fails and (at_most is None or value <= at_most),
    )


def write_run(path: Path, *, orders: int = ORDERS_MADE) -> RunDirectory:
    """Write a whole run of this many orders, and four times as many other requests."""
    directory = RunDirectory.create(root=path.parent, experiment="", at=NOON, path=path)
    ends_at = NOON + LASTS_S * SECOND
    fault_at = NOON + LASTS_S * SECOND // 3
    directory.update_run(
        started_at=format_time(NOON),
        ended_at=format_time(ends_at),
        settle={"settled": True, "waited_s": 0.1, "open_transactions": []},
        fault={
            "experiment_id": "EXP1",
            "action": "aws:ec2:stop-instances",
            "targets": ["i-1"],
            "started_at": format_time(fault_at),
            "ended_at": format_time(fault_at + 60 * SECOND),
        },
    )
    for number in range(500):
        at = NOON + number * LASTS_S * SECOND // 500
        states = ("healthy", "unhealthy", "draining")
        directory.append_event(
            Event(
                at=at,
                source="elb",
                subject=f"i-{number % 9}",
                event=states[number % 3],
                detail="x" * 50,
            )
        )
    chance = random.Random(orders)
    attempts = [_attempt(number, orders, chance) for number in range(orders)]
    rows = [
        _row(number, attempt)
        for number, attempt in enumerate(attempts, 1)
        if attempt.order_id or (attempt.outcome is Outcome.INDETERMINATE and number % 3 == 0)
    ]
    with directory.new_table(ATTEMPTS) as put:
        for attempt in attempts:
            put(attempt)
    with directory.new_table(ORDERS) as put_row:
        for row in rows:
            put_row(row)
    sold = sum(row.quantity or 0 for row in rows)
    with directory.new_table(PRODUCTS) as put_product:
        put_product(
            Product(id=1, name="one", price=PRICE, stock_before=10**7, stock_after=10**7 - sold)
        )
    with directory.new_table(REQUESTS) as put_request:
        for request in _requests(attempts, chance):
            put_request(request)
    return directory


def _attempt(number: int, of: int, chance: random.Random) -> Attempt:
    due_at = NOON + number * (LASTS_S - 10) * SECOND // of
    sent_at = due_at + int(chance.expovariate(1 / 2000))
    status, error = chance.choice(CAUSES) if chance.random() < 0.1 else (201, "")
    is_answered = status == 201
    return Attempt(
        attempt_id=f"a{number:031x}",
        order_key=f"k{number:031x}",
        attempt_no=1,
        user_id=f"u{number % 500}",
        process_id="p1",
        product_id=1,
        quantity=1 + number % 3,
        due_at=due_at,
        sent_at=sent_at,
        ended_at=sent_at + int(chance.lognormvariate(9.5, 0.8)),
        outcome=Outcome.ACKNOWLEDGED if is_answered else Outcome.INDETERMINATE,
        http_status=status,
        error=error,
        order_id=number + 1 if is_answered else None,
        served_by=f"i-{number % 3}" if is_answered else "",
        trace_id="",
    )


def _row(number: int, attempt: Attempt) -> OrderRow:
    return OrderRow(
        id=number,
        product_id=1,
        quantity=attempt.quantity,
        total=PRICE * attempt.quantity,
        status="confirmed",
        created_at=(attempt.sent_at or 0) + 100,
        order_key=attempt.order_key,
        attempt_id=attempt.attempt_id,
        served_by=f"i-{number % 3}",
        committed_at=None,
    )


def _requests(attempts: list[Attempt], chance: random.Random) -> Iterator[Request]:
    for attempt in attempts:
        yield _request(attempt, "POST", "/orders", chance)
        for name in READS:
            yield _request(attempt, "GET", name, chance)


def _request(attempt: Attempt, method: str, name: str, chance: random.Random) -> Request:
    is_order = method == "POST"
    began_at = (attempt.sent_at or 0) + (0 if is_order else chance.randrange(SECOND))
    ended_at = attempt.ended_at if is_order else began_at + int(chance.lognormvariate(8, 1))
    return Request(
        process_id="p1",
        user_id=attempt.user_id,
        name=name,
        method=method,
        due_at=attempt.due_at if is_order else None,
        sent_at=began_at,
        ended_at=ended_at,
        http_status=attempt.http_status if is_order else 200,
        error=attempt.error if is_order else "",
        bytes=100,
        served_by=attempt.served_by or "i-2",
        attempt_id=attempt.attempt_id if is_order else "",
    )


def chart_sums(page: str) -> dict[str, int]:
    """Sum a report's orders up by kind, as its chart has them."""
    chart = page[page.index('id="chart-orders"') :]
    _, _, inside = chart.partition('application/json">')
    layers = json.loads(inside.partition("</script>")[0])["layer"]
    sums: dict[str, int] = {}
    for layer in layers:
        for value in layer["data"]["values"]:
            if "kind" in value:
                sums[value["kind"]] = sums.get(value["kind"], 0) + value["count"]
    return sums
