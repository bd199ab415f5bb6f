"""Judging without keys against judging with them, and how its time grows: in pairs, one process.

A run that went wrong all over: open attempts, of which three in ten made their row, over thirty
cells of product and quantity, and a few acknowledged orders that tell the clocks' offset. Files are
not read: it is `judge` that is measured, the same evidence once by key and once without.
"""

import gc
import math
import random
import statistics
import time
from decimal import Decimal

from analysis.evidence.ledger.line_records import LedgerFindings
from analysis.evidence.records import Attempt, OrderRow, Outcome, Product
from analysis.evidence.run import Run, Settle
from analysis.judging.evidence import Evidence
from analysis.judging.finding_records import Method
from analysis.verdict.judge_run import judge
from tests.bench.measurement import Measurement
from tests.bench.stage import Stage

SIZES = (50_000, 100_000, 200_000)
REPETITIONS = 3
GOAL = 3.0
PRODUCTS, QUANTITIES = 10, 3
NOON = 1_795_435_200_000_000
SECOND = 1_000_000
PER_SECOND = 500


def measure(stage: Stage) -> list[Measurement]:
    """For each size the time by key and without, and at the end how both compare and grow."""
    found = []
    without: list[float] = []
    for size in SIZES:
        evidence = _evidence(size)
        pairs = [_pair(evidence) for _ in range(REPETITIONS)]
        found.append(_told(f"judging {size:,} by key", [key for key, _ in pairs], "s"))
        found.append(_told(f"judging {size:,} inferred", [other for _, other in pairs], "s"))
        without.append(statistics.median(other for _, other in pairs))
        if size == SIZES[-1]:
            ratios = [other / key for key, other in pairs]
            found.append(_told("inferred to by key", ratios, "times", at_most=GOAL))
    n_log_n = [size * math.log(size) for size in SIZES]
    growth = (without[-1] / without[0]) / (n_log_n[-1] / n_log_n[0])
    found.append(_told("growth against n log n", [growth], "times", at_most=1.3))
    return found


def _pair(evidence: Evidence) -> tuple[float, float]:
    return _seconds(evidence, Method.KEY), _seconds(evidence, Method.INFERRED)


def _seconds(evidence: Evidence, method: Method) -> float:
    gc.collect()
    began = time.process_time()
    judge(evidence, method=method)
    return time.process_time() - began


def _told(
    name: str, values: list[float], unit: str, *, at_most: float | None = None
) -> Measurement:
    value = statistics.median(values)
    return Measurement(
        name=name,
        value=round(value, 3),
        low=round(min(values), 3),
        high=round(max(values), 3),
        unit=unit,
        goal="" if at_most is None else f"<= {at_most:g}",
        holds=at_most is None or value <= at_most,
    )


def _evidence(size: int) -> Evidence:
    chance = random.Random(size)
    attempts, rows = [], []
    for number in range(size + size // 100):
        is_told = number >= size
        sent_at = NOON + chance.randrange(size * SECOND // PER_SECOND)
        made = is_told or chance.random() < 0.3
        attempts.append(_attempt(number, sent_at, chance, number if is_told else None))
        if made:
            rows.append(_row(number, attempts[-1], chance))
    products = [
        Product(id=n, name=f"p{n}", price=Decimal(n), stock_before=0, stock_after=0)
        for n in range(1, PRODUCTS + 1)
    ]
    return Evidence(run=_run(), attempts=attempts, orders=rows, products=products)


def _attempt(number: int, sent_at: int, chance: random.Random, order_id: int | None) -> Attempt:
    return Attempt(
        attempt_id=f"attempt-{number}",
        order_key=f"order-{number}",
        attempt_no=1,
        user_id="u",
        process_id="p",
        product_id=chance.randint(1, PRODUCTS),
        quantity=chance.randint(1, QUANTITIES),
        due_at=None,
        sent_at=sent_at,
        ended_at=sent_at + chance.randint(SECOND // 100, 5 * SECOND),
        outcome=Outcome.INDETERMINATE if order_id is None else Outcome.ACKNOWLEDGED,
        http_status=504 if order_id is None else 201,
        error="",
        order_id=order_id,
        served_by="",
        trace_id="",
    )


def _row(number: int, maker: Attempt, chance: random.Random) -> OrderRow:
    sent_at, ended_at = maker.sent_at or 0, maker.ended_at or 0
    return OrderRow(
        id=number,
        product_id=maker.product_id,
        quantity=maker.quantity,
        total=Decimal(maker.product_id * maker.quantity),
        status="confirmed",
        created_at=chance.randint(sent_at, ended_at),
        order_key=maker.order_key,
        attempt_id=maker.attempt_id,
        served_by="",
        committed_at=None,
    )


def _run() -> Run:
    return Run(
        run_id="bench",
        started_at=NOON,
        ended_at=None,
        target="",
        host="",
        experiment="",
        interrupted=False,
        settle=Settle(settled=True, waited_s=0.0),
        hypotheses=(),
        fault=None,
        health_check=None,
        ledger=LedgerFindings(),
    )
