"""Which rows of the orders table bear whose keys: the index that attempts are judged from. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Decimal, localcontext
from itertools import pairwise
from typing import TypeVar

from analysis.evidence.answers import was_answered
from analysis.evidence.records import Attempt, OrderRow, Outcome, Product

RecordT = TypeVar("RecordT")

CENT = Decimal("0.01")


def is_same_money(one: Decimal | None, other: Decimal | None) -> bool:
    """Whether two known amounts are the same to the cent: half a one may be rounded either way."""
    return one is not None and other is not None and abs(one - other) * 2 <= CENT


# How far a total may be from price x quantity, relative to it, where one of them is stored so: the
# price, its product and the total are each rounded to 24 or 53 binary digits.
_PRECISION = {"real": Decimal(2) ** -22, "double precision": Decimal(2) ** -51}


def total_of(amounts: Iterable[Decimal]) -> Decimal:
    """Add amounts up to the last digit: rounded, the sum would depend on their order."""
    with localcontext(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX):
        return sum(amounts, Decimal(0))


@dataclass(slots=True)
class Prices:
    """What each product costs. `precision` is how exactly the shop can store a total, or 0."""

    by_product: dict[int, Decimal]
    precision: Decimal = Decimal(0)

    @classmethod
    def of(
        cls, products: Iterable[Product] | None, money: Mapping[str, str] | None = None
    ) -> "Prices":
        """Take the prices that are known; `money` is the types of the columns of money."""
        known = {each.id: each.price for each in products or () if each.price is not None}
        coarsest = max(_PRECISION.get(kind, Decimal(0)) for kind in ("", *(money or {}).values()))
        return cls(known, coarsest)

    def may_be(self, total: Decimal | None, expected: Decimal) -> bool:
        """Whether a stored total is the expected one, as exactly as it could be stored."""
        if is_same_money(total, expected):
            return True
        return total is not None and abs(total - expected) <= abs(expected) * self.precision

    def total(self, product_id: int | None, quantity: int | None) -> Decimal | None:
        """Price x quantity; None where either is unknown."""
        price = self.by_product.get(product_id) if product_id is not None else None
        return None if price is None or quantity is None else price * quantity


Cell = tuple[int | None, int | None]


def cell_of(record: Attempt | OrderRow) -> Cell:
    """Return product and quantity: all by which a row without keys can be told from others."""
    return (record.product_id, record.quantity)


def order_of(attempt: Attempt) -> str:
    """Return what tells an attempt's order from others; one without a key is its own order."""
    return attempt.order_key or f"attempt {attempt.attempt_id}"


@dataclass(slots=True)
class Attempts:
    """The attempts of the run by id and by order, in an order of our own."""

    all: list[Attempt]
    by_id: dict[str, Attempt] = field(default_factory=dict)
    by_order: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    repeated_ids: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, attempts: Iterable[Attempt]) -> "Attempts":
        """Index the attempts; the order they come in does not matter."""
        index = cls(attempts_in_order(attempts))
        for attempt in index.all:
            if attempt.attempt_id in index.by_id:
                index.repeated_ids.add(attempt.attempt_id)
            index.by_id.setdefault(attempt.attempt_id, attempt)
            index.by_order[order_of(attempt)].append(attempt)
        index.by_id.pop("", None)  # a row without an id is not the row of an attempt without one
        return index

    def order_made_by(self, attempt_id: str) -> str | None:
        """Return the order of a known attempt."""
        attempt = self.by_id.get(attempt_id)
        return order_of(attempt) if attempt else None

    def is_acknowledged(self, order: str) -> bool:
        """Whether any attempt at this order was acknowledged."""
        return any(each.outcome is Outcome.ACKNOWLEDGED for each in self.by_order.get(order, ()))

    def was_answered(self, order: str) -> bool:
        """Whether any attempt at this order was told of a success, whatever that promised."""
        return any(was_answered(each.http_status, each.error) for each in self.by_order[order])

    def was_refused(self, order: str) -> bool:
        """Whether every attempt at this order was told for certain that nothing was done."""
        refused = (Outcome.REJECTED, Outcome.UNSENT)
        return all(each.outcome in refused for each in self.by_order.get(order, ()))


def attempts_in_order(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Return the attempts in an order that does not depend on that in which they come."""
    return _in_order(attempts, lambda each: (each.sent_at or 0, each.attempt_id, each.attempt_no))


def rows_in_order(rows: Iterable[OrderRow]) -> list[OrderRow]:
    """Return the rows in an order that does not depend on that in which they come."""
    return _in_order(rows, lambda each: (each.id,))


def _in_order(
    records: Iterable[RecordT], key: Callable[[RecordT], tuple[int | str, ...]]
) -> list[RecordT]:
    ordered = sorted(records, key=key)
    if any(key(one) == key(other) for one, other in pairwise(ordered)):
        # Damaged evidence: only then is all of a record worth looking at, which takes long.
        ordered.sort(key=lambda each: (key(each), repr(each)))
    return ordered


@dataclass(slots=True, eq=False)
class Row:
    """A row of the orders table and what is known of whose it is.

    `attempt_id` is the id it bears, if that can be ours; `orders` are the orders whose key it
    bears or that own it; `claimed_by` the order whose reply named it, where that reply fits;
    `is_named` whether any reply named it.
    """

    record: OrderRow
    attempt_id: str = ""
    orders: set[str] = field(default_factory=set)
    is_keyed: bool = False
    has_known_maker: bool = False
    claimed_by: str | None = None
    is_named: bool = False

    def bears_key_of_another(self, order: str) -> bool:
        """Whether its keys say that it is not this order's."""
        return self.is_keyed and self.orders != {order}

    def is_anothers(self, order: str) -> bool:
        """Whether it is known to be another order's: by its keys, or by a reply that it fits."""
        if not self.is_keyed:
            return self.claimed_by not in {None, order}
        is_known = self.has_known_maker or bool(self.record.order_key)
        return is_known and order not in self.orders


@dataclass(slots=True)
class Rows:
    """The rows of the orders table by id and by the keys that they bear."""

    all: list[Row]
    by_id: dict[int, list[Row]]
    by_attempt: dict[str, list[Row]]
    by_order: dict[str, list[Row]]

    @classmethod
    def of(
        cls,
        records: Sequence[OrderRow],
        attempts: Attempts,
        *,
        use_keys: bool,
        are_ours: bool,
    ) -> "Rows":
        """Index the rows; with `use_keys` false as if the table had no key columns.

        `are_ours` says that other rows bear ids of attempts of the run.
        """
        # Where all are unknown, something on the way has put its own id into X-Request-Id.
        are_ours = are_ours or any(each.attempt_id in attempts.by_id for each in records)
        shared = attempts.repeated_ids
        # And an id that two attempts share does not tell which of them it was.
        rows = [
            _row(
                each,
                each.attempt_id if are_ours and each.attempt_id not in shared else "",
                attempts,
            )
            if use_keys
            else Row(record=each)
            for each in rows_in_order(records)
        ]
        index = cls(rows, defaultdict(list), defaultdict(list), defaultdict(list))
        for row in rows:
            index.by_id[row.record.id].append(row)
            for order in row.orders:
                index.by_order[order].append(row)
            if row.has_known_maker:
                index.by_attempt[row.attempt_id].append(row)
        return index


def _row(record: OrderRow, attempt_id: str, attempts: Attempts) -> Row:
    maker = attempts.order_made_by(attempt_id)
    orders = {order for order in (record.order_key, maker) if order}
    if attempt_id and not orders:
        orders.add(f"unknown attempt {attempt_id}")
    return Row(
        record=record,
        attempt_id=attempt_id,
        orders=orders,
        is_keyed=bool(orders),
        has_known_maker=maker is not None,
    )


@dataclass(slots=True, kw_only=True)
class Ownership:
    """Whose each row is, as far as keys and replies tell.

    `claimed` are the rows without keys that a reply names and fits, by order.
    `may_lack_attempts_of` says of a process whether its ledger may have gaps.
    """

    attempts: Attempts
    rows: Rows
    prices: Prices
    may_lack_attempts_of: Callable[[str], bool]
    claimed: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def settle_claims(self) -> None:
        """Give each row without keys to the one order whose reply names it and fits best.

        A row can be one order's only: of two that were told its id, the other has been told wrong.
        """
        claims: dict[int, list[Attempt]] = defaultdict(list)
        for attempt in self.attempts.all:
            if attempt.outcome is Outcome.ACKNOWLEDGED and attempt.order_id is not None:
                claims[attempt.order_id].append(attempt)
        for order_id, claimants in claims.items():
            for row in self.rows.by_id.get(order_id, ()):
                row.is_named = True
                fitting = [each for each in claimants if not self.differs(row, each)]
                if fitting and not row.is_keyed:
                    # The first to be told, and of several the first that was sent.
                    first = min(fitting, key=lambda each: each.ended_at or 0)
                    row.claimed_by = order_of(first)
                    self.claimed[row.claimed_by].append(row)

    def differs(self, row: Row, attempt: Attempt) -> bool:
        """Whether a row is other than was ordered."""
        if cell_of(row.record) != cell_of(attempt):
            return True
        expected = self.prices.total(attempt.product_id, attempt.quantity)
        return expected is not None and not self.prices.may_be(row.record.total, expected)

    def is_of(self, row: Row, order: str) -> bool:
        """Whether its keys, or else a reply that it fits, say that it is this order's."""
        return not row.bears_key_of_another(order) and (row.is_keyed or row.claimed_by == order)

    def made_by(self, attempt: Attempt) -> list[Row]:
        """Return the rows whose keys say that this attempt made them."""
        bearing = self.rows.by_attempt.get(attempt.attempt_id, [])
        return bearing or self._rows_only_it_can_have_made(attempt)

    def rows_of_unknown_maker(self, order: str) -> list[Row]:
        """Return rows that are this order's, but do not say which of its attempts made them."""
        keyed = [row for row in self.rows.by_order.get(order, ()) if not row.has_known_maker]
        return keyed + self.claimed.get(order, [])

    def _rows_only_it_can_have_made(self, attempt: Attempt) -> list[Row]:
        order = order_of(attempt)
        if len(self.attempts.by_order[order]) > 1 or not self.is_known_whole(attempt):
            return []
        return [row for row in self.rows_of_unknown_maker(order) if not row.attempt_id]

    def is_known_whole(self, attempt: Attempt) -> bool:
        """Whether all attempts at its order are known: a retry may be what a ledger lacks."""
        return not self.may_lack_attempts_of(attempt.process_id)


def carries_keys(records: Iterable[OrderRow], attempts: Attempts) -> bool:
    """Whether any row bears a key that an attempt of the run has sent.

    Keys that are all unknown are not ours (a load balancer may put its own id in X-Request-Id).
    """
    return any(
        row.attempt_id in attempts.by_id or row.order_key in attempts.by_order for row in records
    )
