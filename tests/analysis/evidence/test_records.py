"""Times and ledger lines survive a round trip, and a torn line is always recognised."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import NoneType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.errors import TornLine
from analysis.evidence.ledger.line_records import (
    AttemptEnded,
    AttemptSent,
    LedgerClosed,
    LedgerLine,
    LedgerOpened,
    RequestDone,
    _Line,
    parse_line,
    types_of,
)
from analysis.evidence.records import Outcome, format_time, parse_time

OPENED = LedgerOpened(process_id="p-1", at=1, about={"pid": 7, "host": "über"})
SENT = AttemptSent(
    attempt_id="a",
    order_key="o",
    attempt_no=1,
    user_id="u",
    product_id=1,
    quantity=2,
    due_at=None,
    sent_at=2,
    trace_id="Root=1-2-3",
)
ENDED = AttemptEnded(
    attempt_id="a",
    ended_at=3,
    outcome=Outcome.ACKNOWLEDGED,
    http_status=201,
    error="",
    order_id=9,
    served_by="i-1",
    bytes=100,
)
REQUEST = RequestDone(
    user_id="u",
    name='GET /products "],[\n',
    method="GET",
    due_at=1,
    sent_at=2,
    ended_at=None,
    http_status=None,
    error="timeout",
    bytes=None,
    served_by="",
)
CLOSED = LedgerClosed(at=4)
LINES: list[LedgerLine] = [OPENED, SENT, ENDED, REQUEST, CLOSED]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.tag)
def test_line_survives_a_round_trip(line: LedgerLine) -> None:
    assert parse_line(line.to_line()) == line


def test_line_is_the_array_that_the_ledger_promises() -> None:
    assert SENT.to_line() == b'["sent","a","o",1,"u",1,2,null,2,"Root=1-2-3",""]\n'
    assert ENDED.to_line() == b'["ended","a",3,"acknowledged",201,"",9,"i-1",100]\n'


_TEXTS = st.text() | st.sampled_from(['"', "\\", "\n", "\x00", "\x7f", "\ud800", "é", "🛒", "%s{}"])
_WHOLES = st.integers()
_ANY = {
    (str,): _TEXTS,
    (int,): _WHOLES,
    (int, NoneType): st.none() | _WHOLES,
}
_CALENDAR = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)  # years 1 to 9999
_MOMENTS = {(int,): _CALENDAR, (int, NoneType): st.none() | _CALENDAR}


def _records_of(kind: type[LedgerLine]) -> st.SearchStrategy[LedgerLine]:
    values = {
        name: (_MOMENTS if name.endswith("_at") else _ANY)[types]
        for name, types in zip(kind.__slots__, types_of(kind), strict=True)
    }
    if kind is AttemptEnded:
        values["outcome"] = st.sampled_from(Outcome)
    return st.builds(kind, **values)


@given(st.one_of(*(_records_of(kind) for kind in (AttemptSent, AttemptEnded, RequestDone))))
def test_lines_spelt_out_are_those_that_json_makes(record: LedgerLine) -> None:
    assert record.to_line() == _Line.to_line(record)
    assert parse_line(record.to_line()) == record


def test_frequent_records_are_values_like_the_others() -> None:
    again = replace(SENT, attempt_no=1)
    assert again == SENT
    assert hash(again) == hash(SENT)
    assert replace(SENT, attempt_no=2) != SENT


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.tag)
def test_line_cut_at_any_byte_is_torn(line: LedgerLine) -> None:
    whole = line.to_line()
    for cut in range(len(whole)):
        with pytest.raises(TornLine):
            parse_line(whole[:cut])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"[]\n",
        b"{}\n",
        b"null\n",
        b'["closed"]\n',
        b'["closed",true]\n',
        b'["closed","4"]\n',
        b'["closed",4,5]\n',
        b'["closed",\n4]\n',
        b'["closed",4]\n["closed",4]\n',
        b'[["closed"],4]\n',
        b'["opened",4]\n',
        b'["ended","a",3,"perhaps",201,"",9,"i-1",100]\n',
        b'\x00["closed",4]\n',
        b'\xff["closed",4]\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_anything_else_is_torn(line: bytes) -> None:
    with pytest.raises(TornLine):
        parse_line(line)


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))
def test_time_survives_a_round_trip(moment: datetime) -> None:
    at = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )
    text = format_time(at)
    assert len(text) == len("2026-11-23T12:00:00.000000Z")
    assert text.endswith("Z")
    assert parse_time(text) == at


def test_time_with_another_offset_is_brought_to_utc() -> None:
    assert parse_time("2026-11-23T13:00:00+01:00") == parse_time("2026-11-23T12:00:00Z")


def test_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="no offset"):
        parse_time("2026-11-23T12:00:00")
