"""The lines of a ledger: a JSON array each, of a tag and fields in order. Pure.

What a load generator writes, and what is read of it. Times are as in `records`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import ClassVar, Literal, TypeVar, dataclass_transform

import msgspec.json

from analysis.evidence.errors import TornLine
from analysis.evidence.records import Outcome, is_time

LEDGER_VERSION, LEDGER_WITH_TAIL = 2, 3

_spell = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_encoder = msgspec.json.Encoder()
# Users wait for it: it is called without a function of ours around it. What it raises, for half of
# a surrogate pair and for a number of more than 64 bits, only `lines_of` can spell.
encode = _encoder.encode
UNPLAIN = (UnicodeEncodeError, OverflowError)


class _Line:
    """A ledger line: a JSON array of its tag and its fields in order, ended by a newline."""

    __slots__: tuple[str, ...] = ()
    tag: ClassVar[str]

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


# Tags and fields in their order: of an AttemptSent, of an AttemptEnded, of a RequestDone.
_Whole = int | None
SentFields = tuple[Literal["sent"], str, str, int, str, int, int, _Whole, _Whole, str, str]
EndedFields = tuple[Literal["ended"], str, int, str, _Whole, str, _Whole, str, _Whole]
RequestFields = tuple[
    Literal["request"], str, str, str, _Whole, _Whole, _Whole, _Whole, str, _Whole, str
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerOpened(_Line):
    """The first line of a ledger: whose it is. `about` holds pid, host and the like.

    Its version is another where the ledger has a tail until it is closed (`tail`).
    """

    tag: ClassVar[str] = "ledger"

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

# What JSON may hold of each field, by the type that the record says.
_HELD_AS: dict[object, tuple[type, ...]] = {
    str: (str,),
    Outcome: (str,),
    int: (int,),
    int | None: (int, NoneType),
    Mapping[str, str | int]: (dict,),
}


def types_of(kind: type[LedgerLine]) -> tuple[tuple[type, ...], ...]:
    """Return which types JSON may have for each field of a line."""
    return tuple(_HELD_AS[each.type] for each in fields(kind))


_TYPES = {kind: types_of(kind) for kind in _LINES.values()}


def parse_line(line: bytes) -> LedgerLine:
    """Return the record of one line; TornLine on anything that is not one whole line."""
    if line.find(b"\n") != len(line) - 1 or not line:
        raise TornLine("not one line with its end")
    try:
        values = json.loads(line)
        tag, *rest = values
        kind = _LINES[tag]
        return _build(kind, rest)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise TornLine(f"not a line of a ledger: {error}") from error


def _build(kind: type[LedgerLine], values: list[object]) -> LedgerLine:
    if len(values) != len(_TYPES[kind]):
        raise ValueError(f"{kind.tag!r} has {len(values)} fields instead of {len(_TYPES[kind])}")
    for value, allowed in zip(values, _TYPES[kind], strict=True):
        if isinstance(value, bool) or not isinstance(value, allowed):
            raise TypeError(f"{kind.tag!r} has {value!r} in it")
    record = dict(zip((each.name for each in fields(kind)), values, strict=True))
    for name, value in record.items():
        holds_time = name == "at" or name.endswith("_at")
        if holds_time and isinstance(value, int) and not is_time(value):
            raise ValueError(f"{kind.tag!r} has a time in it that no calendar knows")
    if kind is AttemptEnded:
        record["outcome"] = Outcome(str(record["outcome"]))
    return kind(**record)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFindings:
    """What was found when the ledgers were read; see `ledger`.

    `cut_off` counts ledgers that may lack their last lines: their tail is lost, or not to be
    trusted.
    """

    files: int = 0
    lines: int = 0
    torn_last_lines: int = 0
    torn_lines: int = 0
    cut_off: int = 0
    unmatched_ends: int = 0
    open_attempts: int = 0
