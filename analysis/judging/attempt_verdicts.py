"""What the orders table says about every attempt, and of rows that no order explains. Pure.

By key: a row belongs to the attempt whose id it bears. By order id: what a reply named. What is
left over is inferred from product, quantity and time (see `ownerless`), and an attempt `committed`
where no other explanation is left. That rests on assumptions, and is not claimed where the evidence
speaks against them: a shop that stores keys would have stored ours, so a row of it without any may
be a stranger's; so may others be where one is that no attempt can have made; and where rows differ
from their orders, product and quantity do not tell whose they are. Nor is `absent` claimed there,
or where the database had not come to rest.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter

from analysis.evidence.answers import was_answered
from analysis.evidence.errors import UsageError
from analysis.evidence.records import Attempt, OrderRow, Outcome, Product, Verdict
from analysis.judging.clock import bounds
from analysis.judging.finding_records import (
    AttemptFinding,
    Basis,
    Method,
    Reconciliation,
    RowFinding,
    Unacknowledged,
)
from analysis.judging.keyless.inference import Span, Use
from analysis.judging.keyless.ownerless import NO_CANDIDATE, Ownerless, Seeker
from analysis.judging.keyless.spans import Spans
from analysis.judging.row_owners import (
    Attempts,
    Ownership,
    Prices,
    Row,
    Rows,
    carries_keys,
    cell_of,
    order_of,
    total_of,
)
from analysis.judging.undisputed import NONE_UNDISPUTED, Undisputed


def reconcile(
    attempts: Iterable[Attempt],
    rows: Sequence[OrderRow] | None,
    *,
    products: Iterable[Product] | None,
    settled: bool,
    is_whole: bool = True,
    unseen_up_to: int | None = None,
    method: Method = Method.AUTO,
    late_window_s: float | None = None,
    may_lack_attempts_of: Callable[[str], bool] = lambda _process_id: False,
    undisputed: Undisputed = NONE_UNDISPUTED,
    money: Mapping[str, str] | None = None,
) -> Reconciliation:
    """Judge every attempt and row. `rows` is None where the orders table was not read.

    `is_whole` is false where attempts that are not recorded, or transactions from before the run,
    may have made rows; `may_lack_attempts_of` says of a process whether its ledger may have gaps.
    Rows with an id of `unseen_up_to` or less may be missing from `rows`. What is `undisputed` is
    counted as it is; where it is, rows bear keys of the run, the others none that are only missing.
    `money` is the types of the columns of money.
    UsageError if the method asks for keys that no row bears.
    """
    index = Attempts.of(attempts)
    if rows is None:
        return _without_table(index)
    has_keys = undisputed.count(Verdict.CONFIRMED) > 0
    use_keys = has_keys or _should_use_keys(method, rows, index)
    judge = _Judge(
        attempts=index,
        rows=Rows.of(rows, index, use_keys=use_keys, are_ours=has_keys),
        prices=Prices.of(products, money),
        may_lack_attempts_of=may_lack_attempts_of,
        use_keys=use_keys,
        may_look_at_keys=method is not Method.INFERRED,
        settled=settled,
        is_whole=is_whole,
        unseen_up_to=unseen_up_to,
        late_window_s=late_window_s,
        undisputed=undisputed,
    )
    return judge.run()


def _should_use_keys(method: Method, rows: Sequence[OrderRow], attempts: Attempts) -> bool:
    if method is Method.INFERRED:
        return False
    if not rows or carries_keys(rows, attempts):
        return True
    if method is Method.KEY:
        raise UsageError(
            "no row of orders.csv bears a key of this run; judge it with --method auto"
        )
    return False


def _without_table(index: Attempts) -> Reconciliation:
    is_open = {Outcome.INDETERMINATE: Verdict.POSSIBLE}
    findings = [_finding(each, is_open.get(each.outcome), Basis.NONE) for each in index.all]
    return Reconciliation(
        method=Method.KEY,
        attempts=findings,
        rows=[],
        row_count=None,
        repeated_ids=len(index.repeated_ids),
    )


@dataclass(slots=True, kw_only=True)
class _Judge(Ownership):
    use_keys: bool
    may_look_at_keys: bool
    settled: bool
    is_whole: bool
    unseen_up_to: int | None
    late_window_s: float | None
    undisputed: Undisputed
    ownerless: Ownerless = field(default_factory=Ownerless)
    spans: Spans = field(default_factory=Spans)
    doubtful_refusals: int = 0
    wrong_rows: set[Row] = field(default_factory=set)
    is_certain: bool = False
    is_faithful: bool = True

    def run(self) -> Reconciliation:
        self.settle_claims()
        self.ownerless = Ownerless.of(self.rows.all)
        told = {
            number: self._judge_acknowledged(each)
            for number, each in enumerate(self.attempts.all)
            if each.outcome is Outcome.ACKNOWLEDGED
        }
        if self.ownerless.places or self.claimed or not self.use_keys:
            self._infer(told)
        findings = [
            told.get(number) or self._judge(number, each)
            for number, each in enumerate(self.attempts.all)
        ]
        row_findings = self._judge_rows()
        is_total_known = self.is_certain and self.unseen_up_to is None
        return Reconciliation(
            method=Method.KEY if self.use_keys else Method.INFERRED,
            attempts=findings,
            rows=row_findings,
            row_count=len(self.rows.all) + self.undisputed.rows,
            repeated_ids=len(self.attempts.repeated_ids),
            wrong_rows=len(self.wrong_rows),
            doubtful_refusals=self.doubtful_refusals,
            ownerless_rows=sum(1 for _ in self.ownerless.rows),
            nobodys_rows=self.ownerless.unexplained,
            late_rows=self.ownerless.late,
            committed_total=self.ownerless.total if is_total_known else None,
            unacknowledged=self._unacknowledged(),
            undisputed=self.undisputed,
        )

    # --- whose can it be, where nothing tells ---

    def _infer(self, told: Mapping[int, AttemptFinding]) -> None:
        known = bounds(told.values(), self.attempts.by_order, use_keys=self.use_keys)
        self.spans = Spans.of(
            known,
            self.attempts.all,
            # A row told of may be that of an attempt that is not recorded, and older than it seems.
            late_window_s=self.late_window_s if self.is_whole else None,
        )
        seekers = [
            Seeker(number, each, not self.attempts.is_acknowledged(order_of(each)))
            for number, each in enumerate(self.attempts.all)
            if self.ownerless.may_be(each) and self._is_seeker(each, told.get(number))
        ]
        doubles = (
            (cell_of(each.attempt), self.spans.of_double(each.attempt))
            for each in told.values()
            if each.verdict is Verdict.CONFIRMED and self.ownerless.may_be(each.attempt)
        )
        self.ownerless.explain(seekers, self.spans.of_attempt, doubles)
        # A row that none can have made, or one that is other than was ordered, and there may be
        # more of the kind: then rows no longer tell whose they must be.
        self.is_faithful = not any(
            each.own_row is not None and cell_of(each.own_row) != cell_of(each.attempt)
            for each in told.values()
        )
        has_strangers = self.ownerless.unexplained > self.ownerless.late or self._have_other_keys()
        self.is_certain = (
            self.is_whole and self.is_faithful and not self.use_keys and not has_strangers
        )

    def _have_other_keys(self) -> bool:
        """Whether rows bear keys that nobody sent, and rows that replies name as ours do not."""
        if not self.may_look_at_keys:
            return False
        ours = [row.record for claimed in self.claimed.values() for row in claimed]
        return any(
            any(key(row.record) for row in self.ownerless.rows) and not any(map(key, ours))
            for key in (attrgetter("order_key"), attrgetter("attempt_id"))
        )

    def _is_seeker(self, attempt: Attempt, told: AttemptFinding | None) -> bool:
        """Whether it may have made a row, and no row is known to be its."""
        # Where a reply names no row, or a wrong one, its order may be there under another id.
        is_open = (
            attempt.outcome is Outcome.INDETERMINATE
            if told is None
            else told.verdict is not Verdict.CONFIRMED
        )
        return is_open and not self.made_by(attempt)

    # --- attempts ---

    def _judge(self, number: int, attempt: Attempt) -> AttemptFinding:
        if attempt.outcome is Outcome.INDETERMINATE:
            return self._judge_open(number, attempt)
        return self._judge_refused(attempt)

    def _judge_acknowledged(self, attempt: Attempt) -> AttemptFinding:
        order = order_of(attempt)
        named = self.rows.by_id.get(attempt.order_id, []) if attempt.order_id is not None else []
        own = self.rows.by_order.get(order, [])
        evidence = Basis.ORDER_ID
        if attempt.order_id is None:  # the reply named no order: only a key can speak for it
            named, evidence = own, Basis.KEY
        for row in named:
            if self.is_of(row, order) and not self.differs(row, attempt):
                return _found(attempt, Verdict.CONFIRMED, evidence, [row])
        open_ones = [row for row in named if self._may_be_of_a_missing_attempt(row, attempt)]
        if open_ones:
            return _found(attempt, Verdict.POSSIBLE, evidence, open_ones)
        if not named:
            return self._judge_told_of_no_row(attempt, own, evidence)
        if all(row.is_anothers(order) for row in named) and not self._may_be_elsewhere(attempt):
            # Whose row bears its id is told with it.
            return _finding(attempt, Verdict.LOST, Basis.ORDER_ID, row=named[0].record)
        return _found(attempt, Verdict.ALTERED, evidence, named)

    def _may_be_elsewhere(self, attempt: Attempt) -> bool:
        """Whether its order may be in the table, under another id than its customer was told."""
        order = order_of(attempt)
        is_known = order in self.rows.by_order or order in self.claimed
        return is_known or self.unseen_up_to is not None or self.ownerless.may_be(attempt)

    def _judge_told_of_no_row(
        self, attempt: Attempt, own: Sequence[Row], evidence: Basis
    ) -> AttemptFinding:
        if self.unseen_up_to is not None and (
            attempt.order_id is None or attempt.order_id <= self.unseen_up_to
        ):
            return _found(attempt, Verdict.POSSIBLE, Basis.NONE, [])
        if own:  # it exists, but under another id than the customer was given
            return _found(attempt, Verdict.ALTERED, Basis.KEY, own)
        if attempt.order_id is None:  # another reply may have named its order's row
            shared = len(self.claimed.get(order_of(attempt), []))
            if shared or self.ownerless.may_be(attempt):
                count = shared + self.ownerless.count_for(attempt, Span())
                return _finding(attempt, Verdict.POSSIBLE, Basis.INFERRED, count)
        return _found(attempt, Verdict.LOST, evidence, [])

    def _may_be_of_a_missing_attempt(self, row: Row, attempt: Attempt) -> bool:
        """Whether it fits, and bears only an attempt's id, which may be one of this order's."""
        is_known = row.has_known_maker or bool(row.record.order_key)
        return not (is_known or self.is_known_whole(attempt) or self.differs(row, attempt))

    def _judge_open(self, number: int, attempt: Attempt) -> AttemptFinding:
        order = order_of(attempt)
        made = self.made_by(attempt)
        if made:
            self.wrong_rows.update(
                row for row in made if row.bears_key_of_another(order) or self.differs(row, attempt)
            )
            return _found(attempt, Verdict.COMMITTED, Basis.KEY, made)
        found = self.ownerless.candidacies.get(number, NO_CANDIDATE)
        if found.use is Use.ALWAYS and self.is_certain:
            return _finding(attempt, Verdict.COMMITTED, Basis.INFERRED, found.candidates, found.row)
        shared = self._rows_it_may_share(attempt)
        if shared and shared[0].is_keyed:
            self.wrong_rows.update(each for each in shared if self._fits_no_attempt(each, order))
            return _found(attempt, Verdict.POSSIBLE, Basis.KEY, shared)
        if shared or found.use is not Use.NEVER:
            count = found.candidates + len(shared)
            return _finding(attempt, Verdict.POSSIBLE, Basis.INFERRED, count)
        is_on_its_way = not self.settled
        is_unseen = self.unseen_up_to is not None
        is_altered = not self.is_faithful and self.ownerless.has_unnamed
        if is_on_its_way or is_unseen or is_altered:  # or rather, may be
            return _found(attempt, Verdict.POSSIBLE, Basis.NONE, [])
        evidence = Basis.KEY if self.use_keys else Basis.INFERRED
        return _found(attempt, Verdict.ABSENT, evidence, [])

    def _fits_no_attempt(self, row: Row, order: str) -> bool:
        """Whether a row is wrong whichever attempt at its order made it."""
        return all(self.differs(row, each) for each in self.attempts.by_order[order])

    def _judge_refused(self, attempt: Attempt) -> AttemptFinding:
        order = order_of(attempt)
        made = self.made_by(attempt)
        shared = self.rows_of_unknown_maker(order)
        if not made and self.is_known_whole(attempt) and self.attempts.was_refused(order):
            made = shared
        if made:
            return _found(attempt, Verdict.CONTRADICTED, Basis.KEY, made)
        doubtful = len(shared)
        if not doubtful and not attempt.was_never_sent:
            doubtful = self.ownerless.count_for(attempt, self.spans.of_attempt(attempt))
        self.doubtful_refusals += bool(doubtful)
        return _finding(
            attempt, Verdict.CLEAN, Basis.KEY if self.use_keys else Basis.NONE, doubtful
        )

    def _rows_it_may_share(self, attempt: Attempt) -> list[Row]:
        span = self.spans.of_attempt(attempt)
        return [
            row
            for row in self.rows_of_unknown_maker(order_of(attempt))
            if row.is_keyed or span.holds(row.record.created_at)
        ]

    # --- rows ---

    def _judge_rows(self) -> list[RowFinding]:
        findings = []
        seen: set[str | int] = set()
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
            return row.is_named or row in self.ownerless.explained
        order = row.record.order_key
        if order not in self.attempts.by_order:
            return False
        # An attempt id that nobody sent: only a reply that names the row can speak for it.
        return not row.attempt_id or (row.is_named and self.attempts.is_acknowledged(order))

    def _unacknowledged(self) -> Unacknowledged:
        orders = self.undisputed.count(Verdict.COMMITTED)
        answered = sum(
            count
            for ending, count in self.undisputed.endings.items()
            if ending.verdict is Verdict.COMMITTED
            and was_answered(ending.http_status, ending.error)
        )
        pieces, value = self.undisputed.hidden
        rows: dict[int, OrderRow] = {}
        for order, made in self.rows.by_order.items():
            if order in self.attempts.by_order and not self.attempts.is_acknowledged(order):
                orders += 1
                answered += self.attempts.was_answered(order)
                rows.update((id(row), row.record) for row in made)
        orders += len(self.ownerless.hidden)
        answered += self.ownerless.answered
        rows.update((id(row), row.record) for row in self.ownerless.hidden)
        return Unacknowledged(
            count=orders,
            pieces=pieces + sum(row.quantity or 0 for row in rows.values()),
            value=total_of([value, *(row.total or Decimal(0) for row in rows.values())]),
            answered=answered,
        )


def _tokens(row: Row) -> set[str | int]:
    """Return everything of which one row only may exist: its id, and its orders."""
    tokens: set[str | int] = {row.record.id, *row.orders}
    if row.claimed_by is not None:
        tokens.add(row.claimed_by)
    return tokens


def _found(
    attempt: Attempt, verdict: Verdict, evidence: Basis, rows: Sequence[Row]
) -> AttemptFinding:
    row = rows[0].record if rows else None
    return _finding(attempt, verdict, evidence, len(rows), row)


def _finding(
    attempt: Attempt,
    verdict: Verdict | None,
    evidence: Basis,
    candidates: int = 0,
    row: OrderRow | None = None,
) -> AttemptFinding:
    return AttemptFinding(
        attempt=attempt, verdict=verdict, evidence=evidence, row=row, candidates=candidates
    )
