"""The checks behind the invariants: each looks at one thing that must be true of every shop. Pure.

To add one, write a function from a `Case` to a `Finding` and name it with `@_invariant`.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from analysis.evidence.answers import (
    BAD_REPLY,
    is_acceptance,
    names_order_oddly,
    why_no_order_was_sent,
)
from analysis.evidence.records import OrderRow, Outcome, Product, Verdict
from analysis.judging.evidence import Evidence
from analysis.judging.finding_records import Reconciliation
from analysis.judging.row_owners import Prices, is_same_money

_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found, before the evidence as a whole is weighed.

    `broken` is a proof, `doubts` the reasons why it cannot be called held.
    """

    broken: str = ""
    doubts: tuple[str, ...] = ()
    held: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """What a check looks at. The orders table has been read; `rows` are without the undisputed."""

    evidence: Evidence
    findings: Reconciliation
    rows: list[OrderRow]

    def count(self, verdict: Verdict) -> int:
        """Return how many attempts or rows have this verdict."""
        return self.findings.count(verdict)

    @property
    def acknowledged(self) -> int:
        """How many attempts were acknowledged."""
        return self.findings.count_outcome(Outcome.ACKNOWLEDGED)

    @property
    def row_count(self) -> int:
        """How many rows there are, those included of which there is no more to say."""
        return self.findings.row_count or 0


Check = Callable[[Case], Finding]
CHECKS: list[tuple[str, str, Check]] = []


def _invariant(name: str, statement: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        CHECKS.append((name, statement, check))
        return check

    return register


@_invariant("durability", "no acknowledged order is missing")
def durability(case: Case) -> Finding:
    """Lost = 0, and there was something that could have been lost."""
    lost = case.count(Verdict.LOST)
    if lost:
        said = f"{lost} of {case.acknowledged} acknowledged are not in the table"
        return Finding(broken=said + _about_lost(case))
    unnamed = sum(
        each.attempt.outcome is Outcome.ACKNOWLEDGED and each.verdict is Verdict.POSSIBLE
        for each in case.findings.attempts
    )
    doubts = []
    if not case.acknowledged:
        doubts.append(_why_none_was_acknowledged(case))
    elif odd := sum(_named_oddly(case, has_no_row=True).values()):
        doubts.append(f"{odd} orders that a reply named in another form are not known to be there")
    if unnamed and not case.evidence.run.older_rows:
        doubts.append(f"of {unnamed} acknowledged orders it is open whether a row is theirs")
    return Finding(doubts=tuple(doubts), held=f"{case.acknowledged} acknowledged, none lost")


def _about_lost(case: Case) -> str:
    """Say how many of the lost were named by an id from before the run, or by another's."""
    lost = [each for each in case.findings.attempts if each.verdict is Verdict.LOST]
    before = case.evidence.before
    said = []
    if before is not None:
        named = (each.attempt.order_id for each in lost)
        older = sum(each is not None and each <= before.max_order_id for each in named)
        if older:
            said.append(
                f"{older} were given the id of an order from before the run, "
                f"{before.max_order_id} or lower"
            )
    others = [each.row.id for each in lost if each.row is not None]
    if others:
        said.append(f"the ids of {len(others)} are other orders': {_some('order', others)}")
    return f" ({'; '.join(said)})" if said else ""


def _why_none_was_acknowledged(case: Case) -> str:
    """Say why nothing could be lost, as far as the run knows."""
    if not case.findings.attempt_count and (why := why_no_order_was_sent(case.evidence.events)):
        return f"no order could be sent: {why}"
    odd = [f"{count} replies said: {why}" for why, count in _named_oddly(case).items()]
    return "; ".join(("no order was acknowledged, so none could be lost", *odd))


def _named_oddly(case: Case, *, has_no_row: bool = False) -> Counter[str]:
    """Count the successes that named an order, but not by a whole number, by what was wrong."""
    found: Counter[str] = Counter()
    for ending, count in case.findings.endings.items():
        if not (has_no_row and ending.verdict is Verdict.COMMITTED):
            found[ending.error] += count
    return Counter(
        {
            error.removeprefix(f"{BAD_REPLY}: "): count
            for error, count in sorted(found.items())
            if names_order_oddly(error)
        }
    )


@_invariant("exactly-once", "no order is in the table twice")
def exactly_once(case: Case) -> Finding:
    """Duplicate = 0."""
    duplicates = [each.row.id for each in case.findings.rows if each.verdict is Verdict.DUPLICATE]
    if duplicates:
        return Finding(broken=f"{len(duplicates)} second rows: {_some('order', duplicates)}")
    return Finding(doubts=_ownerless(case), held=f"{case.row_count} rows, each of another order")


def _ownerless(case: Case) -> tuple[str, ...]:
    rows = case.findings.ownerless_rows
    return (f"{rows} rows bear no key, so whose they are is open",) if rows else ()


@_invariant("fidelity", "every order is in the table as it was sent")
def fidelity(case: Case) -> Finding:
    """Altered = 0, nor does a row made without a reply differ from what was sent."""
    altered = case.count(Verdict.ALTERED)
    wrong = case.findings.wrong_rows
    parts = []
    if altered:
        parts.append(
            f"{altered} of {case.acknowledged} acknowledged differ in product, quantity or total, "
            "or are another order's"
        )
    if wrong:
        parts.append(f"{wrong} rows of unacknowledged orders differ from what was sent")
    doubts = [*_unknown_prices(case), *_ownerless(case)]
    if not case.acknowledged:
        doubts.append("no order was acknowledged")
    return Finding(
        broken="; ".join(parts),
        doubts=tuple(doubts),
        held=f"{case.acknowledged} acknowledged, none altered",
    )


def _unknown_prices(case: Case) -> tuple[str, ...]:
    if case.evidence.products is None:
        return ("totals cannot be checked without products.csv",)
    prices = Prices.of(case.evidence.products).by_product
    unknown = sorted({row.product_id or 0 for row in case.rows} - set(prices))
    return (f"{_some('product', unknown)}: the price is unknown or changed",) if unknown else ()


@_invariant("definite-no", "what was refused did not happen")
def definite_no(case: Case) -> Finding:
    """Contradicted = 0."""
    contradicted = [each for each in case.findings.attempts if each.verdict is Verdict.CONTRADICTED]
    if contradicted:
        ids = [each.row.id for each in contradicted if each.row]
        return Finding(
            broken=f"{len(contradicted)} refused attempts made a row: {_some('order', ids)}"
        )
    refused = case.count(Verdict.CLEAN)
    doubtful = case.findings.doubtful_refusals
    nobodys = case.findings.nobodys_rows
    doubts = []
    if doubtful:
        doubts.append(f"{doubtful} refused attempts may have made a row that others may have too")
    if refused and nobodys:
        doubts.append(f"{nobodys} rows without keys may be of refused attempts, and altered")
    return Finding(
        doubts=tuple(doubts), held=f"{refused} refused or unsent attempts, none made a row"
    )


@_invariant("conservation", "what left the stock is what was ordered")
def conservation(case: Case) -> Finding:
    """Check stock_before - stock_after = the sum of the new rows' quantities, per product."""
    products = case.evidence.products
    if products is None:
        return Finding(doubts=("there is no products.csv",))
    if not case.evidence.was_settled_before:
        return Finding(doubts=("the database was at work during the first snapshot",))
    sold, doubts = _sold(case, {each.id for each in products})
    broken = []
    may_be_taken = _accepted_without_row(case)
    for product in products:
        left = _left_stock(product)
        if left is None:
            doubts.append(f"the stock of product {product.id} was not read twice")
        elif left != sold[product.id]:
            said = f"product {product.id}: stock fell by {left}, {sold[product.id]} ordered"
            if left > sold[product.id] and may_be_taken:
                doubts.append(f"{said}, and {may_be_taken} orders were accepted for later")
            else:
                broken.append(said)
    pieces = sum(sold.values())
    if case.evidence.run.older_rows:  # they may be what is missing
        doubts, broken = [*broken, *doubts], []
    return Finding(
        broken=_some("", broken),
        doubts=tuple(doubts[:_NAMED_AT_MOST]),
        held=f"{pieces} pieces of {len(products)} products",
    )


def _sold(case: Case, known: set[int]) -> tuple[Counter[int], list[str]]:
    """Add up the rows' pieces by product, and say which rows cannot be added."""
    doubts = []
    sold = Counter(case.findings.undisputed.sold)
    for row in case.rows:
        if row.product_id not in known or row.quantity is None:
            doubts.append(f"order {row.id} is of an unknown product or quantity")
        elif row.product_id is not None:
            sold[row.product_id] += row.quantity
    return sold, doubts


def _accepted_without_row(case: Case) -> int:
    """Count the attempts that were answered with a 202 and have no row, which may still come."""
    return sum(
        count
        for ending, count in case.findings.endings.items()
        if ending.verdict in {Verdict.ABSENT, Verdict.POSSIBLE}
        and is_acceptance(ending.http_status, ending.error)
    )


def _left_stock(product: Product) -> int | None:
    if product.stock_before is None or product.stock_after is None:
        return None
    return product.stock_before - product.stock_after


@_invariant("no-oversell", "no stock is below zero")
def no_oversell(case: Case) -> Finding:
    """stock_after >= 0."""
    products = case.evidence.products
    if products is None:
        return Finding(doubts=("there is no products.csv",))
    below = [
        f"product {each.id}: {each.stock_after}"
        for each in products
        if each.stock_after is not None and each.stock_after < 0
    ]
    unread = [each.id for each in products if each.stock_after is None]
    doubts = (f"the stock was not read of {_some('product', unread)}",) if unread else ()
    return Finding(broken=_some("", below), doubts=doubts, held=f"{len(products)} products")


@_invariant("arithmetic", "every total is price x quantity")
def arithmetic(case: Case) -> Finding:
    """Check total = price x quantity, to the cent, for every new row."""
    prices = Prices.of(case.evidence.products, case.evidence.run.money)
    wrong: list[str] = []
    coarse: list[str] = []
    for row in case.rows:
        expected = prices.total(row.product_id, row.quantity)
        if expected is None or is_same_money(row.total, expected):
            continue
        found = coarse if prices.may_be(row.total, expected) else wrong
        found.append(f"order {row.id}: {row.total} instead of {expected}")
    doubts = [*_unknown_prices(case)]
    if coarse:
        doubts.append(
            f"{len(coarse)} totals are off by what their type rounds: {_some('', coarse)}"
        )
    return Finding(
        broken=f"{len(wrong)} totals are wrong: {_some('', wrong)}" if wrong else "",
        doubts=tuple(doubts),
        held=f"{case.row_count} totals",
    )


@_invariant("nothing-unexpected", "every row was ordered by somebody")
def nothing_unexpected(case: Case) -> Finding:
    """Check that an attempt of the run explains each row."""
    unexpected = [each.row.id for each in case.findings.rows if each.verdict is Verdict.UNEXPECTED]
    late = case.findings.late_rows
    doubts = (
        [*_ownerless(case)] if case.findings.ownerless_rows > case.findings.nobodys_rows else []
    )
    if unexpected:
        said = f"{len(unexpected)} rows that nobody ordered: {_some('order', unexpected)}"
        said += _without_keys(case)
        if case.evidence.is_whole and len(unexpected) > late:
            return Finding(broken=said)
        doubts.append(said)  # a lost ledger line or an older transaction may explain them
    if late:
        doubts.append(f"{late} of them are only too late, by the late window that was assumed")
    if not case.evidence.was_settled_before:
        doubts.append("the database was at work during the first snapshot")
    return Finding(doubts=tuple(doubts), held=f"{case.row_count} rows")


def _without_keys(case: Case) -> str:
    """Say what is not known of rows that no attempt explains."""
    nobodys = case.findings.nobodys_rows
    if not nobodys:
        return ""
    rows = "one bears" if nobodys == 1 else f"{nobodys} bear"
    return f" ({rows} no key: strangers', altered, or the second of an order)"


def _some(noun: str, things: Iterable[object]) -> str:
    """Name the first few: `order 5, 7, 9 and 4 more`."""
    every = [str(each) for each in things]
    named = ", ".join(every[:_NAMED_AT_MOST])
    more = len(every) - _NAMED_AT_MOST
    return f"{noun} {named}{f' and {more} more' if more > 0 else ''}".strip()
