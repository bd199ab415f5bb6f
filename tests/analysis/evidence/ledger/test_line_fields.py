"""The quick reading of a ledger's lines never says anything but the exact one."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analysis.evidence.errors import TornLine
from analysis.evidence.ledger.line_fields import read_exactly, read_fields, read_plainly
from analysis.evidence.ledger.line_records import AttemptEnded, AttemptSent, LedgerLine, RequestDone
from analysis.evidence.ledger.reader import render_time
from analysis.evidence.records import Outcome, format_time

PLAIN_TIMES = st.integers(1_000_000_000_000_000, 9_999_999_999_999_999)
TIMES = PLAIN_TIMES | st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
WHOLE = st.integers(0, 1000) | st.integers()
TEXTS = st.text(st.characters(codec="ascii", categories=["L", "N", "P"])) | st.text()
SENT = st.builds(
    AttemptSent,
    attempt_id=TEXTS,
    order_key=TEXTS,
    attempt_no=WHOLE,
    user_id=TEXTS,
    product_id=WHOLE,
    quantity=WHOLE,
    due_at=TIMES | st.none(),
    sent_at=TIMES | st.none(),
    trace_id=TEXTS,
    retry_of=TEXTS,
)
ENDED = st.builds(
    AttemptEnded,
    attempt_id=TEXTS,
    ended_at=TIMES,
    outcome=st.sampled_from(Outcome),
    http_status=WHOLE | st.none(),
    error=TEXTS,
    order_id=WHOLE | st.none(),
    served_by=TEXTS,
    bytes=WHOLE | st.none(),
)
REQUESTS = st.builds(
    RequestDone,
    user_id=TEXTS,
    name=TEXTS,
    method=TEXTS,
    due_at=TIMES | st.none(),
    sent_at=TIMES | st.none(),
    ended_at=TIMES | st.none(),
    http_status=WHOLE | st.none(),
    error=TEXTS,
    bytes=WHOLE | st.none(),
    served_by=TEXTS,
)
LINES = SENT | ENDED | REQUESTS
JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
# What a plain line becomes when one byte of it is another, or missing, or one too many.
BYTES = st.sampled_from([b'"', b"\\", b",", b"-", b"0", b"\n", b"\0", b" ", b"\xff", b"e", b""])


def agree(line: bytes) -> None:
    plainly = read_plainly(line)
    if plainly is not None:
        assert plainly == read_exactly(line)


@given(LINES)
def test_a_line_read_plainly_is_what_it_is_exactly(line: LedgerLine) -> None:
    agree(line.to_line())


@given(LINES, st.data(), BYTES)
def test_a_damaged_line_read_plainly_is_what_it_is_exactly(
    line: LedgerLine, data: st.DataObject, byte: bytes
) -> None:
    whole = line.to_line()
    at = data.draw(st.integers(0, len(whole)))
    agree(whole[:at] + byte + whole[at:])
    agree(whole[:at] + byte + whole[at + 1 :])


@given(st.sampled_from(["sent", "ended", "request"]), st.lists(JSON, min_size=7, max_size=11))
def test_a_line_of_anything_read_plainly_is_what_it_is_exactly(
    tag: str, rest: list[object]
) -> None:
    agree(json.dumps([tag, *rest], separators=(",", ":")).encode() + b"\n")
    agree(json.dumps([tag, *rest], separators=(",", ":"), ensure_ascii=False).encode() + b"\n")


@pytest.mark.parametrize("number", ["", "-0", "00", "1e3", "1.0", "٣", "true", "9" * 5000])
def test_a_number_that_is_none_of_ours_is_left_to_the_exact_reading(number: str) -> None:
    line = f'["ended","a",1795435200000000,"acknowledged",{number},"",9,"i-1",100]\n'
    assert read_plainly(line.encode()) is None


@pytest.mark.parametrize("at", ["", "0", "-1", "999", "99999999999999999", "9" * 18])
def test_a_time_that_may_be_out_of_bounds_is_left_to_the_exact_reading(at: str) -> None:
    line = f'["ended","a",{at},"acknowledged",201,"",9,"i-1",100]\n'
    assert read_plainly(line.encode()) is None


def test_lines_as_a_run_writes_them_are_read_plainly() -> None:
    lines = [
        b'["sent","a-1","o-1",1,"u1",1,2,null,1795435200000000,"Root=1-2-3",""]\n',
        b'["ended","a-1",1795435200000000,"indeterminate",null,"timeout",null,"",null]\n',
        b'["request","u1","/products","GET",null,1795435200000000,1795435200000000,200,"",9,"i"]\n',
    ]
    assert [read_plainly(line) for line in lines] == [read_exactly(line) for line in lines]


@pytest.mark.parametrize("at", [10**30, -(10**30), 253_402_300_800_000_000])
def test_a_time_that_no_calendar_knows_is_no_line(at: int) -> None:
    with pytest.raises(TornLine, match="calendar"):
        read_fields(b'["closed",%d]\n' % at)


@given(TIMES)
@example(1_795_435_200_999_999)
@example(-100_000_000_000_001)
@example(-1_795_435_200_000_001)
def test_a_time_is_rendered_as_everywhere_else(at: int) -> None:
    assert render_time(str(at)) == format_time(at)
