"""Take the snapshots of the shop's database before and after a run."""

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from analysis.database import ProductRow, Snapshot, connect
from analysis.errors import EvidenceError
from analysis.hypotheses import check_hypotheses
from analysis.records import Event, Product, format_time
from analysis.run import Before, Settle, parse_before, parse_run
from analysis.run_directory import BEFORE_FILE, RunDirectory
from analysis.tables import ORDERS, PRODUCTS


def take_before(directory: RunDirectory, url: str, *, settle_limit_s: float) -> Settle:
    """Write snapshot_before.json once the database has come to rest, or the limit is reached.

    UsageError if the run's hypotheses could not be scored afterwards: now they can be mended.
    """
    _refuse_twice(directory, BEFORE_FILE, directory.has(BEFORE_FILE))
    check_hypotheses(parse_run(directory.read_run()).hypotheses)
    with connect(url) as database:
        settle = database.settle(limit_s=settle_limit_s)
        with database.snapshot() as tables:
            taken_at = _now()
            products = [_product_as_json(each) for each in tables.products()]
            max_order_id = tables.max_order_id()
            order_count = tables.count_orders(up_to_id=max_order_id)
    directory.write_before(
        {
            "taken_at": format_time(taken_at),
            "max_order_id": max_order_id,
            "order_count": order_count,
            "products": products,
            "settle": settle.as_json(),
        }
    )
    _note(directory, settle, "snapshot_before")
    return settle


def take_after(directory: RunDirectory, url: str, *, settle_limit_s: float) -> Settle:
    """Write orders.csv, products.csv and run.json's settle, from one view of the tables."""
    _refuse_twice(directory, ORDERS.file_name, directory.has_table(ORDERS))
    content = directory.read_before()
    if content is None:
        message = (
            f"{directory.path / BEFORE_FILE} is missing, so the orders of the run cannot be told "
            "from older ones; it is written by `snapshot --before` as the run starts"
        )
        raise EvidenceError(message)
    before = parse_before(content)
    with connect(url) as database:
        settle = database.settle(limit_s=settle_limit_s)
        # orders.csv comes last: while it is missing, the snapshot may be taken again.
        with database.snapshot() as tables, directory.new_table(ORDERS) as put_order:
            with directory.new_table(PRODUCTS) as put_product:
                for product in _joined(before, tables.products()):
                    put_product(product)
            for order in tables.orders(above_id=before.max_order_id):
                put_order(order)
            older_rows = _older_rows(before, tables)
            directory.update_run(settle=settle.as_json(), older_rows=older_rows)
    _note(directory, settle, "snapshot_after")
    return settle


def _older_rows(before: Before, tables: Snapshot) -> int:
    """Return how many rows have come to be with ids from before the run.

    Where ids are handed out in blocks (a sequence with a cache, hi/lo) they do not grow with time.
    """
    if before.order_count is None:
        return 0
    return max(0, tables.count_orders(up_to_id=before.max_order_id) - before.order_count)


def _refuse_twice(directory: RunDirectory, file_name: str, is_there: bool) -> None:
    if is_there:
        message = f"{directory.path / file_name} exists; evidence is never written a second time"
        raise EvidenceError(message)


def _joined(before: Before, after: list[ProductRow]) -> list[Product]:
    then = {int(each["id"]): each for each in before.products}
    now = {each.id: each for each in after}
    return [_product(each, then.get(each), now.get(each)) for each in sorted({*then, *now})]


def _product(number: int, then: Mapping[str, Any] | None, now: ProductRow | None) -> Product:
    then = then or {}
    return Product(
        id=number,
        name=now.name if now else str(then.get("name") or ""),
        price=_price(then.get("price"), now),
        stock_before=then.get("stock"),
        stock_after=now.stock if now else None,
    )


def _price(then: str | None, now: ProductRow | None) -> Decimal | None:
    """Return the price; unknown where it changed, since then no total can be called wrong."""
    before = Decimal(then) if then else None
    after = now.price if now else None
    if before is None or after is None:
        return after if before is None else before
    return after if before == after else None


def _product_as_json(product: ProductRow) -> dict[str, object]:
    return {
        "id": product.id,
        "name": product.name,
        "price": None if product.price is None else format(product.price, "f"),
        "stock": product.stock,
    }


def _note(directory: RunDirectory, settle: Settle, event: str) -> None:
    state = "settled" if settle.settled else "not settled"
    detail = f"{state} after {settle.waited_s} s, {len(settle.open_transactions)} open transactions"
    directory.append_event(
        Event(at=_now(), source="database", subject=directory.run_id, event=event, detail=detail)
    )


def _now() -> int:
    return time.time_ns() // 1000
