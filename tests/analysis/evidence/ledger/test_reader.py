"""What comes out of ledgers, whole and torn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.errors import EvidenceError
from analysis.evidence.ledger.line_records import (
    LEDGER_WITH_TAIL,
    AttemptEnded,
    AttemptSent,
    LedgerClosed,
    LedgerFindings,
    LedgerLine,
    LedgerOpened,
    RequestDone,
)
from analysis.evidence.ledger.reader import LedgerReader
from analysis.evidence.records import Attempt, Outcome, Request
from analysis.evidence.tables import ATTEMPTS, REQUESTS
from tests.examples import examples


def opened(process_id: str = "p1") -> LedgerOpened:
    return LedgerOpened(process_id=process_id, at=1)


def sent(name: str, at: int = 10, retry_of: str = "") -> AttemptSent:
    return AttemptSent(
        attempt_id=name,
        order_key=f"order-{name}",
        attempt_no=1,
        user_id="u1",
        product_id=1,
        quantity=2,
        due_at=at - 1,
        sent_at=at,
        trace_id="t",
        retry_of=retry_of,
    )


def ended(name: str, at: int = 20, outcome: Outcome = Outcome.ACKNOWLEDGED) -> AttemptEnded:
    return AttemptEnded(
        attempt_id=name,
        ended_at=at,
        outcome=outcome,
        http_status=201,
        error="",
        order_id=5,
        served_by="i-1",
        bytes=99,
    )


def browsed(at: int = 15) -> RequestDone:
    return RequestDone(
        user_id="u1",
        name="/products",
        method="GET",
        due_at=None,
        sent_at=at,
        ended_at=at + 1,
        http_status=200,
        error="",
        bytes=3,
        served_by="i-1",
    )


READ_ATTEMPT = ATTEMPTS.reader(list(ATTEMPTS.columns))
READ_REQUEST = REQUESTS.reader(list(REQUESTS.columns))


class Read:
    """A reader and all that it handed on."""

    def __init__(self, *ledgers: list[bytes], has_tail: bool = False) -> None:
        self.attempts: list[Attempt] = []
        self.requests: list[Request] = []
        self.reader = LedgerReader(
            put_attempt=lambda cells: self.attempts.append(READ_ATTEMPT(cells)),
            put_request=lambda cells: self.requests.append(READ_REQUEST(cells)),
        )
        for number, ledger in enumerate(ledgers):
            self.reader.read(ledger, name=f"p{number}.jsonl", has_tail=has_tail)

    @property
    def found(self) -> LedgerFindings:
        return self.reader.findings


def lines(*records: LedgerLine) -> list[bytes]:
    return [record.to_line() for record in records]


def test_attempt_that_ended_is_whole_and_is_a_request_too() -> None:
    read = Read(lines(opened(), sent("a"), browsed(), ended("a"), LedgerClosed(at=30)))
    (attempt,) = read.attempts
    assert (attempt.process_id, attempt.outcome, attempt.order_id) == ("p1", "acknowledged", 5)
    assert (attempt.due_at, attempt.sent_at, attempt.ended_at) == (9, 10, 20)
    names = [(each.name, each.attempt_id, each.bytes) for each in read.requests]
    assert names == [("/products", "", 3), ("/orders", "a", 99)]
    assert read.reader.last_at == 30


def test_attempt_without_an_end_was_in_flight_when_the_process_died() -> None:
    read = Read(lines(opened(), sent("a")))
    (attempt,) = read.attempts
    assert attempt.outcome is Outcome.INDETERMINATE
    assert attempt.error == "in_flight_at_stop"
    assert attempt.ended_at is None
    assert read.found.open_attempts == 1


def test_retry_names_the_attempt_that_it_repeats() -> None:
    read = Read(lines(opened(), sent("a"), ended("a"), sent("b", at=30, retry_of="a")))
    assert [each.retry_of for each in read.attempts] == ["", "a"]
    assert read.reader.last_at == 30


def test_a_run_that_ended_with_a_sudden_end_lasted_until_its_last_attempt_was_sent() -> None:
    assert Read(lines(opened(), sent("a", at=10))).reader.last_at == 10


def test_end_that_nobody_saw_sent_is_a_gap() -> None:
    assert Read(lines(opened(), ended("a"))).found.unmatched_ends == 1


def test_attempt_id_used_twice_stays_two_attempts() -> None:
    read = Read(lines(opened(), sent("a"), sent("a"), ended("a")))
    assert [each.attempt_id for each in read.attempts] == ["a", "a"]


def test_torn_line_in_the_middle_is_a_gap_and_a_torn_last_line_is_none() -> None:
    torn = sent("b").to_line()[:9] + b"\n"
    read = Read([*lines(opened(), sent("a")), torn, *lines(ended("a"))])
    assert (read.found.torn_lines, read.found.torn_last_lines) == (1, 0)
    read = Read([*lines(opened(), sent("a"), ended("a")), torn[:-1]])
    assert (read.found.torn_lines, read.found.torn_last_lines) == (0, 1)


def test_ledger_of_another_version_is_an_error() -> None:
    newer = LedgerOpened(version=4, process_id="p1", at=1).to_line()
    with pytest.raises(EvidenceError, match="version 4, and this reads 2 and 3"):
        Read([newer])


@pytest.mark.parametrize("is_closed", [True, False])
@pytest.mark.parametrize("has_tail", [True, False])
def test_ledger_that_was_not_closed_lacks_lines_without_its_tail(
    *, is_closed: bool, has_tail: bool
) -> None:
    opening = LedgerOpened(version=LEDGER_WITH_TAIL, process_id="p1", at=1).to_line()
    ledger = [opening, *lines(sent("a"), *([LedgerClosed(at=9)] if is_closed else []))]
    read = Read(ledger, has_tail=has_tail)
    assert read.found.cut_off == (not is_closed and not has_tail)
    assert len(read.attempts) == 1


@given(st.data())
@examples(40)  # each is cut some hundred times
def test_ledger_cut_at_any_byte_loses_nothing_but_the_line_it_cuts(data: st.DataObject) -> None:
    records: list[LedgerLine] = [opened()]
    for number in range(data.draw(st.integers(1, 4))):
        records.append(sent(f"a{number}"))
        if data.draw(st.booleans()):
            records.append(browsed())
        if data.draw(st.booleans()):
            records.append(ended(f"a{number}"))
    whole = b"".join(lines(*records))
    for cut in range(len(whole) + 1):
        left = whole[:cut].splitlines(keepends=True)
        read = Read(left)
        complete = [line for line in left if line.endswith(b"\n")]
        seen_sent = sum(line.startswith(b'["sent"') for line in complete)
        seen_ended = sum(line.startswith(b'["ended"') for line in complete)
        assert read.found.torn_last_lines == len(left) - len(complete)
        assert (read.found.torn_lines, read.found.unmatched_ends) == (0, 0)
        assert len(read.attempts) == seen_sent
        assert read.found.open_attempts == seen_sent - seen_ended
