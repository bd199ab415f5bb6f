"""Take the snapshots of the shop's database before and after a run."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from analysis.database.patience import NO_PATIENCE, Patience
from analysis.database.reading import ProductRow, Snapshot, connect
from analysis.evidence.errors import DatabaseError, EvidenceError
from analysis.evidence.records import Product, format_time
from analysis.evidence.run import Before, Settle, parse_before
from analysis.evidence.run_directory import BEFORE_FILE, RunDirectory
from analysis.evidence.tables import ORDERS, PRODUCTS


def take_before(
    directory: RunDirectory,
    url: str,
    *,
    settle_limit_s: float,
    patience: Patience = NO_PATIENCE,
) -> Settle:
    """Write snapshot_before.json once the database has come to rest, or the limit is reached."""
    _refuse_twice(directory, BEFORE_FILE, directory.has(BEFORE_FILE))
    settle, found = patience.ask(lambda: _read_before(url, settle_limit_s))
    directory.write_json(BEFORE_FILE, found)
    _note(directory, settle, "snapshot_before")
    return settle


def _read_before(url: str, settle_limit_s: float) -> tuple[Settle, dict[str, object]]:
    with connect(url) as database:
        settle = database.settle(limit_s=settle_limit_s)
        identity = database.identity()
        with database.snapshot() as tables:
            taken_at = time.time_ns() // 1000
            products = [
                {**asdict(each), "price": None if each.price is None else format(each.price, "f")}
                for each in tables.products()
            ]
            max_order_id = tables.max_order_id()
            return settle, {
                "taken_at": format_time(taken_at),
                "max_order_id": max_order_id,
                "order_count": tables.count_orders(up_to_id=max_order_id),
                "products": products,
                "settle": settle.as_json(),
                "read_from": {**identity, **tables.tables},
            }


def take_after(
    directory: RunDirectory,
    url: str,
    *,
    settle_limit_s: float,
    patience: Patience = NO_PATIENCE,
) -> Settle:
    """Write orders.csv, products.csv and run.json's settle, from one view of the tables."""
    _refuse_twice(directory, ORDERS.file_name, directory.has_table(ORDERS))
    content = directory.read_before()
    if content is None:
        raise EvidenceError(
            f"{directory.path / BEFORE_FILE} is missing, so the orders of the run cannot be told "
            "from older ones; it is written by `snapshot --before` as the run starts"
        )
    before = parse_before(content)
    settle = patience.ask(lambda: _read_after(directory, before, url, settle_limit_s))
    _note(directory, settle, "snapshot_after")
    return settle


def _read_after(directory: RunDirectory, before: Before, url: str, settle_limit_s: float) -> Settle:
    run_began = before.settle.database_time if before.settle else None
    with connect(url) as database:
        settle = database.settle(limit_s=settle_limit_s, run_began=run_began or 0)
        identity = database.identity()
        # orders.csv comes last: while it is missing, the snapshot may be taken again.
        with database.snapshot() as tables, directory.new_table(ORDERS) as put_order:
            _refuse_another(before, {**identity, **tables.tables})
            with directory.new_table(PRODUCTS) as put_product:
                for product in _joined(before, tables.products()):
                    put_product(product)
            for order in tables.orders(above_id=before.max_order_id):
                put_order(order)
            directory.update_run(
                settle=settle.as_json(),
                older_rows=_older_rows(before, tables),
                money=tables.money,
                unread="",
            )
    return settle


def _refuse_another(before: Before, now: Mapping[str, str]) -> None:
    """What another database or table lacks was not lost by the shop."""
    for what, name in now.items():
        then = before.read_from.get(what, name)
        if then != name:
            raise DatabaseError(
                f"the snapshot before the run was of {what} {then}, this one would be of {name}; "
                "name the database (and search_path) that the run began with"
            )


def _older_rows(before: Before, tables: Snapshot) -> int:
    """Return how many rows have come to be with ids from before the run.

    Where ids are handed out in blocks (a sequence with a cache, hi/lo) they do not grow with time.
    """
    if before.order_count is None:
        return 0
    return max(0, tables.count_orders(up_to_id=before.max_order_id) - before.order_count)


def _refuse_twice(directory: RunDirectory, file_name: str, is_there: bool) -> None:
    if is_there:
        raise EvidenceError(
            f"{directory.path / file_name} exists; evidence is never written a second time"
        )


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


def _note(directory: RunDirectory, settle: Settle, event: str) -> None:
    state = "settled" if settle.settled else "not settled"
    detail = f"{state} after {settle.waited_s} s, {len(settle.waited_for)} open transactions"
    if settle.idle:
        detail += f", {len(settle.idle)} idle since before the run and not waited for"
    directory.note_event(event, detail, source="database")
