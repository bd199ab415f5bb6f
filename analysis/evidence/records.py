"""The records that the parts of a run hand to each other, and the lines of a ledger.

Pure types: no file is touched here. Times are integer microseconds since the Unix epoch, UTC.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import NoneType
from typing import ClassVar, Literal, TypeVar, dataclass_transform

import msgspec.json

from analysis.evidence.errors import TornLine

__all__ = [
    "HARMLESS_ACTIONS",
    "LEDGER_VERSION",
    "LEDGER_WITH_TAIL",
    "UNPLAIN",
    "Attempt",
    "AttemptEnded",
    "AttemptSent",
    "EndedFields",
    "Event",
    "LedgerClosed",
    "LedgerLine",
    "LedgerOpened",
    "OrderRow",
    "Outcome",
    "Product",
    "Request",
    "RequestDone",
    "RequestFields",
    "RunVerdict",
    "SentFields",
    "TornLine",
    "Verdict",
    "encode",
    "format_time",
    "frequent",
    "is_time",
    "lines_of",
    "parse_line",
    "parse_time",
]

LEDGER_VERSION, LEDGER_WITH_TAIL = 2, 3
# Actions of FIS that do nothing to anybody: where only these began, no fault did.
HARMLESS_ACTIONS = frozenset({"aws:fis:wait", "aws:cloudwatch:assert-alarm-state"})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_AT = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST_AT = (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - _EPOCH) // _MICROSECOND

_spell = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_encoder = msgspec.json.Encoder()
# Users wait for it: it is called without a function of ours around it. What it raises, for half of
# a surrogate pair and for a number of more than 64 bits, only `lines_of` can spell.
encode = _encoder.encode
UNPLAIN = (UnicodeEncodeError, OverflowError)


def format_time(at: int) -> str:
    """RFC 3339 in UTC with six digits and `Z`, from microseconds since the epoch."""
    moment = _EPOCH + timedelta(microseconds=at)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> int:
    """Microseconds since the epoch; ValueError unless `text` is RFC 3339 with an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        message = f"the time {text!r} has no offset; it should end in Z"
        raise ValueError(message)
    at = (moment - _EPOCH) // _MICROSECOND
    if not is_time(at):
        message = f"the time {text!r} is one that no calendar in UTC knows"
        raise ValueError(message)
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


class _Line:
    """A ledger line: a JSON array of its tag and its fields in order, ended by a newline."""

    __slots__: tuple[str, ...] = ()
    tag: ClassVar[str]
    types: ClassVar[tuple[tuple[type, ...], ...]]

    def to_line(self) -> bytes:
        """Return the whole line.

        What users wait for is handed to `encode` as plain fields: it is the same line, sooner.
        """
        values = [getattr(self, name) for name in self.__slots__]  # the fields of a dataclass
        return _line((self.tag, *values))


RecordT = TypeVar("RecordT")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def frequent(record: type[RecordT]) -> type[RecordT]:
    """Make a dataclass that is frozen for whoever checks types, and not at run time.

    Users wait while a record is made, and a frozen one takes three times as long.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(record)


_TEXT = (str,)
_WHOLE = (int,)
_MAYBE_WHOLE = (int, NoneType)

# Tags and fields in their order: of an AttemptSent, of an AttemptEnded, of a RequestDone.
SentFields = tuple[
    Literal["sent"],
    str,
    str,
    int,
    str,
    int,
    int,
    int | None,
    int | None,
    str,
    str,
]
EndedFields = tuple[
    Literal["ended"],
    str,
    int,
    str,
    int | None,
    str,
    int | None,
    str,
    int | None,
]
RequestFields = tuple[
    Literal["request"],
    str,
    str,
    str,
    int | None,
    int | None,
    int | None,
    int | None,
    str,
    int | None,
    str,
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerOpened(_Line):
    """The first line of a ledger: whose it is. `about` holds pid, host and the like.

    Its version is another where the ledger has a tail until it is closed (`ledger_tail`).
    """

    tag: ClassVar[str] = "ledger"
    types: ClassVar[tuple[tuple[type, ...], ...]] = (_WHOLE, _TEXT, _WHOLE, (dict,))

    version: int = LEDGER_VERSION
    process_id: str
    at: int
    about: Mapping[str, str | int] = field(default_factory=dict)


@frequent
class AttemptSent(_Line):
    """An attempt is about to be sent; this line leaves the process before its first byte.

    `sent_at` is None for one that was due and will not be sent.
    """

    tag: ClassVar[str] = "sent"
    types: ClassVar[tuple[tuple[type, ...], ...]] = (
        *(_TEXT, _TEXT, _WHOLE, _TEXT, _WHOLE, _WHOLE),
        *(_MAYBE_WHOLE, _MAYBE_WHOLE, _TEXT, _TEXT),
    )

    attempt_id: str
    order_key: str
    attempt_no: int
    user_id: str
    product_id: int
    quantity: int
    due_at: int | None
    sent_at: int | None
    trace_id: str
    retry_of: str = ""


@frequent
class AttemptEnded(_Line):
    """What the client knows now that an attempt has ended."""

    tag: ClassVar[str] = "ended"
    types: ClassVar[tuple[tuple[type, ...], ...]] = (
        *(_TEXT, _WHOLE, _TEXT, _MAYBE_WHOLE, _TEXT),
        *(_MAYBE_WHOLE, _TEXT, _MAYBE_WHOLE),
    )

    attempt_id: str
    ended_at: int
    outcome: Outcome
    http_status: int | None
    error: str
    order_id: int | None
    served_by: str
    bytes: int | None


@frequent
class RequestDone(_Line):
    """A request that was not an order has ended."""

    tag: ClassVar[str] = "request"
    types: ClassVar[tuple[tuple[type, ...], ...]] = (
        *(_TEXT, _TEXT, _TEXT, _MAYBE_WHOLE, _MAYBE_WHOLE, _MAYBE_WHOLE),
        *(_MAYBE_WHOLE, _TEXT, _MAYBE_WHOLE, _TEXT),
    )

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


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerClosed(_Line):
    """The last line of a ledger that was closed properly."""

    tag: ClassVar[str] = "closed"
    types: ClassVar[tuple[tuple[type, ...], ...]] = (_WHOLE,)

    at: int


def lines_of(records: Sequence[SentFields | EndedFields | RequestFields]) -> bytes:
    """Return the lines of records with these fields, in their order."""
    try:
        return _encoder.encode_lines(records)
    except UNPLAIN:
        return b"".join(_line(each) for each in records)


def _line(values: Sequence[object]) -> bytes:
    """Return one line of JSON; json itself takes three times as long, and spells anything."""
    try:
        return encode(values) + b"\n"
    except UNPLAIN:
        return (_spell(values) + "\n").encode("ascii")


LedgerLine = LedgerOpened | AttemptSent | AttemptEnded | RequestDone | LedgerClosed

_LINES: dict[str, type[LedgerLine]] = {
    line.tag: line for line in (LedgerOpened, AttemptSent, AttemptEnded, RequestDone, LedgerClosed)
}


def parse_line(line: bytes) -> LedgerLine:
    """Return the record of one line; TornLine on anything that is not one whole line."""
    if line.find(b"\n") != len(line) - 1 or not line:
        message = "not one line with its end"
        raise TornLine(message)
    try:
        values = json.loads(line)
        tag, *rest = values
        kind = _LINES[tag]
        return _build(kind, rest)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        message = f"not a line of a ledger: {error}"
        raise TornLine(message) from error


def _build(kind: type[LedgerLine], values: list[object]) -> LedgerLine:
    if len(values) != len(kind.types):
        message = f"{kind.tag!r} has {len(values)} fields instead of {len(kind.types)}"
        raise ValueError(message)
    for value, allowed in zip(values, kind.types, strict=True):
        if isinstance(value, bool) or not isinstance(value, allowed):
            message = f"{kind.tag!r} has {value!r} in it"
            raise TypeError(message)
    record = dict(zip((each.name for each in fields(kind)), values, strict=True))
    for name, value in record.items():
        holds_time = name == "at" or name.endswith("_at")
        if holds_time and isinstance(value, int) and not is_time(value):
            message = f"{kind.tag!r} has a time in it that no calendar knows"
            raise ValueError(message)
    if kind is AttemptEnded:
        record["outcome"] = Outcome(str(record["outcome"]))
    return kind(**record)  # type: ignore[arg-type]
