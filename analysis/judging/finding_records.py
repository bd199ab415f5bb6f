"""What was found of every attempt and of the rows that are wrong. Pure."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from analysis.evidence.records import Attempt, OrderRow, Outcome, Verdict
from analysis.judging.undisputed import NONE_UNDISPUTED, Ending, Undisputed


class Method(StrEnum):
    """How a row is brought together with the attempt that made it."""

    AUTO = "auto"
    KEY = "key"
    INFERRED = "inferred"


class Basis(StrEnum):
    """What an attempt's verdict rests on."""

    ORDER_ID = "order_id"
    KEY = "key"
    INFERRED = "inferred"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFinding:
    """The verdict of an attempt; None where the orders table was not read.

    `row` is the row that it rests on: where the order is lost, another's that bears the id which
    its customer was told. `candidates` counts the rows that may be this attempt's.
    """

    attempt: Attempt
    verdict: Verdict | None
    evidence: Basis
    row: OrderRow | None = None
    candidates: int = 0

    @property
    def own_row(self) -> OrderRow | None:
        """The row if it is, or may be, this attempt's."""
        return None if self.verdict is Verdict.LOST else self.row


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFinding:
    """A row that is one too many, or that nobody ordered."""

    row: OrderRow
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Unacknowledged:
    """Orders in the table of which no customer was told for certain.

    `answered` of them are, or without keys may be, of customers who were told of a success that
    promises no order, or names it in a way that is not understood.
    """

    count: int = 0
    pieces: int = 0
    value: Decimal = Decimal(0)
    answered: int = 0


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """All findings of a run, and how many questions the evidence leaves open.

    `attempts` are those that are not `undisputed`; whoever counts asks the methods below.
    `wrong_rows` made by unacknowledged attempts differ from what was asked; `doubtful_refusals`
    may have made a row that another attempt may have made as well; of `ownerless_rows` neither a
    key nor a reply says whose they are, and no attempt can have made `nobodys_rows` of them
    (`late_rows` of those only because of the late window). `committed_total` of them are what
    indeterminate attempts account for: None where that is not certain, or not inferred.
    """

    method: Method
    attempts: list[AttemptFinding]
    rows: list[RowFinding]
    row_count: int | None
    repeated_ids: int
    wrong_rows: int = 0
    doubtful_refusals: int = 0
    ownerless_rows: int = 0
    nobodys_rows: int = 0
    late_rows: int = 0
    committed_total: int | None = None
    unacknowledged: Unacknowledged | None = None
    undisputed: Undisputed = NONE_UNDISPUTED

    @cached_property
    def endings(self) -> Counter[Ending]:
        """How many attempts ended in each way, the undisputed among them."""
        found = Counter(
            Ending(each.attempt.outcome, each.verdict, each.attempt.http_status, each.attempt.error)
            for each in self.attempts
        )
        found.update(self.undisputed.endings)
        return found

    @property
    def attempt_count(self) -> int:
        """How many attempts the run made."""
        return self.endings.total()

    def count(self, verdict: Verdict) -> int:
        """Return how many attempts, or rows, have this verdict."""
        of_attempts = sum(n for ending, n in self.endings.items() if ending.verdict is verdict)
        return of_attempts + sum(each.verdict is verdict for each in self.rows)

    def count_outcome(self, outcome: Outcome, verdict: Verdict | None = None) -> int:
        """Return how many attempts ended so, and with this verdict if one is given."""
        return sum(
            count
            for ending, count in self.endings.items()
            if ending.outcome is outcome and verdict in {None, ending.verdict}
        )
