"""Builders of literal histories: attempts, rows, products and whole runs.

Everything is bought on one second unless said otherwise; a dict of changes makes the exception.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from analysis.evidence.ledger.line_records import LedgerFindings
from analysis.evidence.records import (
    Attempt,
    OrderRow,
    Outcome,
    Product,
    Request,
    RunVerdict,
    Verdict,
)
from analysis.evidence.run import Run, Settle
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ATTEMPTS, ORDERS, PRODUCTS
from analysis.judging.attempt_verdicts import reconcile
from analysis.judging.evidence import Evidence
from analysis.judging.finding_records import Reconciliation
from analysis.verdict.judge_run import judge

NOON = 1_795_435_200_000_000
SECOND = 1_000_000
SETTLED = Settle(settled=True, waited_s=0.5)
PRICES = {1: Decimal("19.99"), 2: Decimal("5.00")}


def attempt(name: str, outcome: Outcome, **changes: Any) -> Attempt:
    """Attempt `name` at the order of the same name, a piece of product 1."""
    one = Attempt(
        attempt_id=name,
        order_key=f"order-{name}",
        attempt_no=1,
        user_id="u1",
        process_id="p1",
        product_id=1,
        quantity=1,
        due_at=NOON,
        sent_at=NOON,
        ended_at=NOON + SECOND,
        outcome=outcome,
        http_status=None,
        error="",
        order_id=None,
        served_by="",
        trace_id="",
    )
    return replace(one, **changes)


def acknowledged(name: str, order_id: int | None, **changes: Any) -> Attempt:
    """An attempt whose reply named an order."""
    return attempt(
        name, Outcome.ACKNOWLEDGED, **{"order_id": order_id, "http_status": 201, **changes}
    )


def placed_before(name: str, order_id: int) -> tuple[Attempt, OrderRow]:
    """An order that was acknowledged a minute before all others, and its row, which has no key."""
    at = NOON - 60 * SECOND
    told = acknowledged(name, order_id, due_at=at, sent_at=at, ended_at=at + SECOND)
    return told, row(order_id, created_at=at + SECOND // 2)


def rejected(name: str, **changes: Any) -> Attempt:
    """An attempt that was told it was sold out."""
    return attempt(name, Outcome.REJECTED, **{"http_status": 409, **changes})


def unsent(name: str, **changes: Any) -> Attempt:
    """An attempt that never left."""
    return attempt(name, Outcome.UNSENT, **{"error": "connect_refused", **changes})


def indeterminate(name: str, **changes: Any) -> Attempt:
    """An attempt that got a 502."""
    return attempt(name, Outcome.INDETERMINATE, **{"http_status": 502, **changes})


def row(number: int, made_by: Attempt | None = None, **changes: Any) -> OrderRow:
    """A row as `made_by` would have made it, keys included; without, one that bears no key."""
    maker = made_by or attempt("nobody", Outcome.INDETERMINATE)
    product_id, quantity = maker.product_id, maker.quantity
    one = OrderRow(
        id=number,
        product_id=product_id,
        quantity=quantity,
        total=PRICES[product_id] * quantity if product_id in PRICES else None,
        status="confirmed",
        created_at=(maker.sent_at or NOON) + SECOND // 2,
        order_key=maker.order_key if made_by else "",
        attempt_id=maker.attempt_id if made_by else "",
        served_by="i-1",
        committed_at=None,
    )
    return replace(one, **changes)


def products_after(rows: Iterable[OrderRow], *, stock: int = 1000) -> list[Product]:
    """The products as an honest shop would have left them."""
    sold = dict.fromkeys(PRICES, 0)
    for each in rows:
        if each.product_id in sold:
            sold[each.product_id] += each.quantity or 0
    return [
        Product(
            id=number,
            name=f"product {number}",
            price=price,
            stock_before=stock,
            stock_after=stock - sold[number],
        )
        for number, price in PRICES.items()
    ]


def request(request_line: str = "GET /products", **changes: Any) -> Request:
    """A request that got its 200 after a second."""
    method, _, name = request_line.partition(" ")
    one = Request(
        process_id="p1",
        user_id="u1",
        name=name,
        method=method,
        due_at=NOON,
        sent_at=NOON,
        ended_at=NOON + SECOND,
        http_status=200,
        error="",
        bytes=10,
        served_by="i-1",
        attempt_id="",
    )
    return replace(one, **changes)


def run(**changes: Any) -> Run:
    """A run of a minute on a database that came to rest."""
    one = Run(
        run_id="20261123T120000Z-test",
        started_at=NOON,
        ended_at=NOON + 60 * SECOND,
        target="lab",
        host="http://127.0.0.1",
        experiment="test",
        interrupted=False,
        settle=SETTLED,
        hypotheses=(),
        fault=None,
        health_check=None,
        ledger=LedgerFindings(),
    )
    return replace(one, **changes)


def evidence(
    attempts: Sequence[Attempt], rows: Sequence[OrderRow] | None, **changes: Any
) -> Evidence:
    """A whole run of these attempts and rows, in a shop whose stock is right."""
    whole: dict[str, Any] = {
        "run": run(),
        "attempts": list(attempts),
        "orders": None if rows is None else list(rows),
        "products": None if rows is None else products_after(rows),
        "requests": [],
        "events": [],
        **changes,
    }
    return Evidence(**whole)


def findings(attempts: Sequence[Attempt], rows: Sequence[OrderRow], **how: Any) -> Reconciliation:
    """What `reconcile` makes of a settled shop."""
    whole: dict[str, Any] = {"products": products_after(rows), "settled": True, **how}
    return reconcile(attempts, rows, **whole)


def verdicts(attempts: Sequence[Attempt], rows: Sequence[OrderRow], **how: Any) -> dict[str, str]:
    """Each attempt's verdict by its id, and each wrong row's by its number."""
    found = findings(attempts, rows, **how)
    of_rows = {f"row {each.row.id}": each.verdict for each in found.rows}
    return {each.attempt.attempt_id: each.verdict or "" for each in found.attempts} | of_rows


def invariants_of(case: Evidence) -> dict[str, RunVerdict]:
    """Each invariant's verdict."""
    return {each.id: each.verdict for each in judge(case).invariants}


def count(verdict: Verdict, case: Evidence) -> int:
    """How many attempts or rows got a verdict."""
    return judge(case).findings.count(verdict)


def store(directory: RunDirectory, case: Evidence) -> RunDirectory:
    """Write a run's needed files."""
    directory.update_run(
        started_at="2026-11-23T12:00:00.000000Z",
        ended_at="2026-11-23T12:01:00.000000Z",
        settle=case.run.settle.as_json() if case.run.settle else None,
    )
    with directory.new_table(ATTEMPTS) as put:
        for each in case.attempts:
            put(each)
    if case.orders is not None:
        with directory.new_table(ORDERS) as put_order:
            for order in case.orders:
                put_order(order)
    if case.products is not None:
        with directory.new_table(PRODUCTS) as put_product:
            for product in case.products:
                put_product(product)
    return directory
