"""What the orders table says about every attempt, and of rows that no order explains. Pure.

By key: a row belongs to the attempt whose id it bears. By order id: what a reply named. A row
without any key may be that of every open attempt of its product and quantity, and then neither
`committed` nor `absent` is claimed. Nor is `absent` where the database had not come to rest.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from analysis.errors import UsageError
from analysis.findings import (
    AttemptFinding,
    Basis,
    Method,
    Reconciliation,
    RowFinding,
    Unacknowledged,
)
from analysis.matching import (
    Attempts,
    Prices,
    Row,
    Rows,
    carries_keys,
    is_same_money,
    order_of,
)
from analysis.records import Attempt, OrderRow, Outcome, Product, Verdict


def reconcile(
    attempts: Iterable[Attempt],
    rows: Sequence[OrderRow] | None,
    *,
    products: Iterable[Product] | None,
    settled: bool,
    method: Method = Method.AUTO,
    may_lack_attempts_of: Callable[[str], bool] = lambda _process_id: False,
) -> Reconciliation:
    """Judge every attempt and row. `rows` is None where the orders table was not read.

    `may_lack_attempts_of` says of a process whether its ledger may have gaps.
    UsageError if the method asks for keys that no row bears.
    """
    index = Attempts.of(attempts)
    if rows is None:
        return _without_table(index)
    use_keys = _should_use_keys(method, rows, index)
    judge = _Judge(
        attempts=index,
        rows=Rows.of(rows, index, use_keys=use_keys),
        prices=Prices.of(products),
        use_keys=use_keys,
        settled=settled,
        may_lack_attempts_of=may_lack_attempts_of,
    )
    return judge.run()


def _should_use_keys(method: Method, rows: Sequence[OrderRow], attempts: Attempts) -> bool:
    if method is Method.INFERRED:
        return False
    if not rows or carries_keys(rows, attempts):
        return True
    if method is Method.KEY:
        message = "no row of orders.csv bears a key of this run; judge it with --method auto"
        raise UsageError(message)
    return False


def _without_table(index: Attempts) -> Reconciliation:
    findings = [
        AttemptFinding(
            attempt=each,
            verdict=Verdict.POSSIBLE if each.outcome is Outcome.INDETERMINATE else None,
            evidence=Basis.NONE,
        )
        for each in index.all
    ]
    return Reconciliation(
        method=Method.KEY,
        attempts=findings,
        rows=[],
        row_count=None,
        repeated_ids=len(index.repeated_ids),
    )


_Cell = tuple[int | None, int | None]


def _cell(record: Attempt | OrderRow) -> _Cell:
    return (record.product_id, record.quantity)


@dataclass(slots=True, kw_only=True)
class _Judge:
    attempts: Attempts
    rows: Rows
    prices: Prices
    use_keys: bool
    settled: bool
    may_lack_attempts_of: Callable[[str], bool]
    ownerless: dict[_Cell, list[Row]] = field(default_factory=lambda: defaultdict(list))
    seekers: Counter[_Cell] = field(default_factory=Counter)
    claimed: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    doubtful_refusals: int = 0
    wrong_rows: int = 0

    def run(self) -> Reconciliation:
        self._settle_claims()
        for row in self.rows.all:
            if not row.is_keyed and row.claimed_by is None:
                self.ownerless[_cell(row.record)].append(row)
        findings = [self._judge(each) for each in self.attempts.all]
        row_findings = self._judge_rows()
        return Reconciliation(
            method=Method.KEY if self.use_keys else Method.INFERRED,
            attempts=findings,
            rows=row_findings,
            row_count=len(self.rows.all),
            repeated_ids=len(self.attempts.repeated_ids),
            wrong_rows=self.wrong_rows,
            doubtful_refusals=self.doubtful_refusals,
            ownerless_rows=sum(len(self._explicable(cell)) for cell in self.ownerless),
            surplus_rows=sum(
                max(0, len(self._explicable(cell)) - self.seekers[cell]) for cell in self.ownerless
            ),
            unacknowledged=self._unacknowledged(),
        )

    # --- whose row is it, where only replies can tell ---

    def _settle_claims(self) -> None:
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
                fitting = [each for each in claimants if not self._differs(row, each)]
                if fitting and not row.is_keyed:
                    row.claimed_by = order_of(min(fitting, key=_first_to_know))
                    self.claimed[row.claimed_by].append(row)

    def _differs(self, row: Row, attempt: Attempt) -> bool:
        if _cell(row.record) != _cell(attempt):
            return True
        expected = self.prices.total(attempt.product_id, attempt.quantity)
        return expected is not None and not is_same_money(row.record.total, expected)

    def _is_of(self, row: Row, order: str) -> bool:
        return not row.bears_key_of_another(order) and (row.is_keyed or row.claimed_by == order)

    # --- attempts ---

    def _judge(self, attempt: Attempt) -> AttemptFinding:
        match attempt.outcome:
            case Outcome.ACKNOWLEDGED:
                return self._judge_acknowledged(attempt)
            case Outcome.INDETERMINATE:
                return self._judge_open(attempt)
            case Outcome.REJECTED | Outcome.UNSENT:
                return self._judge_refused(attempt)

    def _judge_acknowledged(self, attempt: Attempt) -> AttemptFinding:
        order = order_of(attempt)
        named = self.rows.by_id.get(attempt.order_id, []) if attempt.order_id is not None else []
        own = self.rows.by_order.get(order, [])
        evidence = Basis.ORDER_ID
        if attempt.order_id is None:  # the reply named no order: only a key can speak for it
            named, evidence = own, Basis.KEY
        for row in named:
            if self._is_of(row, order) and not self._differs(row, attempt):
                return _found(attempt, Verdict.CONFIRMED, evidence, [row])
        if named:
            return _found(attempt, Verdict.ALTERED, evidence, named)
        if own:  # it exists, but under another id than the customer was given
            return _found(attempt, Verdict.ALTERED, Basis.KEY, own)
        if attempt.order_id is None and self.ownerless.get(_cell(attempt)):
            return self._judge_keyless(attempt)
        return _found(attempt, Verdict.LOST, evidence, [])

    def _judge_open(self, attempt: Attempt) -> AttemptFinding:
        order = order_of(attempt)
        made = self.rows.by_attempt.get(attempt.attempt_id, [])
        made = made or self._rows_only_it_can_have_made(attempt)
        if made:
            is_wrong = any(
                row.bears_key_of_another(order) or self._differs(row, attempt) for row in made
            )
            self.wrong_rows += is_wrong
            return _found(attempt, Verdict.COMMITTED, Basis.KEY, made)
        shared = self._rows_of_unknown_maker(order)
        if shared:
            evidence = Basis.KEY if shared[0].is_keyed else Basis.INFERRED
            return _found(attempt, Verdict.POSSIBLE, evidence, shared)
        return self._judge_keyless(attempt)

    def _judge_keyless(self, attempt: Attempt) -> AttemptFinding:
        """Judge an attempt that no key and no reply brings together with a row."""
        evidence = Basis.KEY if self.use_keys else Basis.INFERRED
        candidates = self.ownerless.get(_cell(attempt), [])
        self.seekers[_cell(attempt)] += 1
        if candidates:
            count = len(candidates)
            return AttemptFinding(
                attempt=attempt,
                verdict=Verdict.POSSIBLE,
                evidence=Basis.INFERRED,
                candidates=count,
            )
        if not self.settled:  # it may still be on its way
            return _found(attempt, Verdict.POSSIBLE, Basis.NONE, [])
        return _found(attempt, Verdict.ABSENT, evidence, [])

    def _judge_refused(self, attempt: Attempt) -> AttemptFinding:
        order = order_of(attempt)
        made = self.rows.by_attempt.get(attempt.attempt_id, [])
        made = made or self._rows_only_it_can_have_made(attempt)
        shared = self._rows_of_unknown_maker(order)
        if not made and self._is_known_whole(attempt) and self.attempts.was_refused(order):
            made = shared
        if made:
            return _found(attempt, Verdict.CONTRADICTED, Basis.KEY, made)
        doubtful = shared or self.ownerless.get(_cell(attempt), [])
        self.doubtful_refusals += bool(doubtful)
        return AttemptFinding(
            attempt=attempt,
            verdict=Verdict.CLEAN,
            evidence=Basis.KEY if self.use_keys else Basis.NONE,
            candidates=len(doubtful),
        )

    def _rows_of_unknown_maker(self, order: str) -> list[Row]:
        """Return rows that are this order's, but do not say which of its attempts made them."""
        keyed = [row for row in self.rows.by_order.get(order, ()) if not row.has_known_maker]
        return keyed + self.claimed.get(order, [])

    def _rows_only_it_can_have_made(self, attempt: Attempt) -> list[Row]:
        order = order_of(attempt)
        if len(self.attempts.by_order[order]) > 1 or not self._is_known_whole(attempt):
            return []
        return [row for row in self._rows_of_unknown_maker(order) if not row.attempt_id]

    def _is_known_whole(self, attempt: Attempt) -> bool:
        """Whether all attempts at its order are known: a retry may be what a ledger lacks."""
        return not self.may_lack_attempts_of(attempt.process_id)

    # --- rows ---

    def _judge_rows(self) -> list[RowFinding]:
        findings = []
        seen: set[tuple[str, str | int]] = set()
        for row in self.rows.all:
            tokens = _tokens(row)
            verdict = None
            if not self._is_explained(row):
                verdict = Verdict.UNEXPECTED
            elif tokens & seen:
                verdict = Verdict.DUPLICATE
            seen |= tokens
            if verdict:
                findings.append(RowFinding(row=row.record, verdict=verdict))
        return findings

    def _is_explained(self, row: Row) -> bool:
        if row.has_known_maker:
            return True
        if not row.is_keyed:
            return row.is_named or self.seekers[_cell(row.record)] > 0
        order = row.record.order_key
        if order not in self.attempts.by_order:
            return False
        # An attempt id that nobody sent: only a reply that names the row can speak for it.
        return not row.attempt_id or (row.is_named and self.attempts.is_acknowledged(order))

    def _explicable(self, cell: _Cell) -> list[Row]:
        return [row for row in self.ownerless[cell] if self._is_explained(row)]

    def _unacknowledged(self) -> Unacknowledged:
        orders = 0
        rows: dict[int, OrderRow] = {}
        for order, made in self.rows.by_order.items():
            if order in self.attempts.by_order and not self.attempts.is_acknowledged(order):
                orders += 1
                rows.update((id(row), row.record) for row in made)
        for cell in self.ownerless:
            unnamed = [row for row in self._explicable(cell) if not row.is_named]
            orders += len(unnamed)
            rows.update((id(row), row.record) for row in unnamed)
        return Unacknowledged(
            count=orders,
            pieces=sum(row.quantity or 0 for row in rows.values()),
            value=sum((row.total or Decimal(0) for row in rows.values()), Decimal(0)),
        )


def _first_to_know(attempt: Attempt) -> tuple[int, int, str]:
    return (attempt.ended_at or 0, attempt.sent_at or 0, attempt.attempt_id)


def _tokens(row: Row) -> set[tuple[str, str | int]]:
    """Return everything of which one row only may exist."""
    tokens: set[tuple[str, str | int]] = {("id", row.record.id)}
    tokens |= {("order", order) for order in row.orders}
    if row.has_known_maker:
        tokens.add(("attempt", row.attempt_id))
    if row.claimed_by is not None:
        tokens.add(("order", row.claimed_by))
    return tokens


def _found(
    attempt: Attempt, verdict: Verdict, evidence: Basis, rows: Sequence[Row]
) -> AttemptFinding:
    return AttemptFinding(
        attempt=attempt,
        verdict=verdict,
        evidence=evidence,
        row=rows[0].record if rows else None,
        candidates=len(rows),
    )
