"""The records that the parts of a run hand to each other, and the words for them.

Pure types: no file is touched here. Times are integer microseconds since the Unix epoch, UTC.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

# Actions of FIS that do nothing to anybody: where only these began, no fault did.
HARMLESS_ACTIONS = frozenset({"aws:fis:wait", "aws:cloudwatch:assert-alarm-state"})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_AT = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST_AT = (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - _EPOCH) // _MICROSECOND


def format_time(at: int) -> str:
    """RFC 3339 in UTC with six digits and `Z`, from microseconds since the epoch."""
    moment = _EPOCH + timedelta(microseconds=at)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> int:
    """Microseconds since the epoch; ValueError unless `text` is RFC 3339 with an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no offset; it should end in Z")
    at = (moment - _EPOCH) // _MICROSECOND
    if not is_time(at):
        raise ValueError(f"the time {text!r} is one that no calendar in UTC knows")
    return at


def is_time(at: int) -> bool:
    """Whether there is such a time in UTC, in the years 1 to 9999, and it can be written."""
    return _FIRST_AT <= at <= _LAST_AT


class Outcome(StrEnum):
    """What the client knows when an attempt has ended."""

    ACKNOWLEDGED = "acknowledged"
    REJECTED = "rejected"
    UNSENT = "unsent"
    INDETERMINATE = "indeterminate"


class Verdict(StrEnum):
    """What the orders table says about an attempt, or (the last two) about a row."""

    CONFIRMED = "confirmed"
    LOST = "lost"
    ALTERED = "altered"
    CLEAN = "clean"
    CONTRADICTED = "contradicted"
    COMMITTED = "committed"
    ABSENT = "absent"
    POSSIBLE = "possible"
    DUPLICATE = "duplicate"
    UNEXPECTED = "unexpected"


class RunVerdict(StrEnum):
    """The verdict of a run, an invariant or a hypothesis."""

    HELD = "held"
    UNDECIDED = "undecided"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HTTP request for an order: a row of attempts.csv.

    `sent_at` is None where it was due and never sent. `retry_of` is the attempt that the customer
    made before this one in want of the same thing, under the same order key or another.
    """

    attempt_id: str
    order_key: str
    attempt_no: int
    user_id: str
    process_id: str
    product_id: int
    quantity: int
    due_at: int | None
    sent_at: int | None
    ended_at: int | None
    outcome: Outcome
    http_status: int | None
    error: str
    order_id: int | None
    served_by: str
    trace_id: str
    retry_of: str = ""

    @property
    def was_never_sent(self) -> bool:
        """Whether it was due, and not even tried."""
        return self.outcome is Outcome.UNSENT and self.sent_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Any HTTP request, orders included: a row of requests.csv."""

    process_id: str
    user_id: str
    name: str
    method: str
    due_at: int | None
    sent_at: int | None
    ended_at: int | None
    http_status: int | None
    error: str
    bytes: int | None
    served_by: str
    attempt_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """A row of the orders table made since the first snapshot: a row of orders.csv.

    What a shop left NULL is None: a broken shop's table is evidence too.
    """

    id: int
    product_id: int | None
    quantity: int | None
    total: Decimal | None
    status: str
    created_at: int | None
    order_key: str
    attempt_id: str
    served_by: str
    committed_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product before and after the run: a row of products.csv."""

    id: int
    name: str
    price: Decimal | None
    stock_before: int | None
    stock_after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened around the load: a row of events.csv."""

    at: int
    source: str
    subject: str
    event: str
    detail: str
