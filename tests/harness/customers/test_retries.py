"""Retries as customers' apps do them: of what, how often, and never sooner than asked."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.records import Outcome
from harness.customers.outcome import Conclusion
from harness.customers.retries import Answer, Retries, RetryKind, retry_after_s

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
A, R, U, I = (  # noqa: E741
    *(Outcome.ACKNOWLEDGED, Outcome.REJECTED),
    *(Outcome.UNSENT, Outcome.INDETERMINATE),
)
BLIND, KEYED = RetryKind.BLIND, RetryKind.KEYED
IN_PROGRESS = Answer(problem="tag:chaos-shop.example,2026:key-in-progress", retry_after="1")
SOLD_OUT = Answer(problem="tag:chaos-shop.example,2026:insufficient-stock")


def pause(
    retries: Retries,
    outcome: Outcome = I,
    status: int | None = None,
    answer: Answer | None = None,
    *,
    attempt_no: int = 1,
    jitter: float = 0.5,
) -> float | None:
    return retries.pause_s(
        Conclusion(outcome=outcome, http_status=status),
        answer or Answer(),
        attempt_no=attempt_no,
        jitter=jitter,
        now_s=NOW.timestamp(),
    )


@pytest.mark.parametrize(
    ("kind", "outcome", "status", "answer", "is_repeated"),
    [
        (RetryKind.NONE, I, 502, Answer(), False),
        (BLIND, I, 502, Answer(), True),
        (BLIND, I, None, Answer(), True),
        (BLIND, I, 503, Answer(retry_after="1"), True),
        (BLIND, U, None, Answer(), True),
        (BLIND, R, 429, Answer(), True),
        (BLIND, R, 409, IN_PROGRESS, False),
        (BLIND, R, 409, SOLD_OUT, False),
        (KEYED, I, 504, Answer(), True),
        (KEYED, U, None, Answer(), True),
        (KEYED, R, 429, Answer(), True),
        (KEYED, R, 409, IN_PROGRESS, True),
        (KEYED, R, 409, Answer(retry_after="1"), True),
        (KEYED, R, 409, SOLD_OUT, False),
        (KEYED, R, 409, Answer(), False),
        (KEYED, R, 422, Answer(), False),
        (KEYED, R, 400, Answer(retry_after="1"), False),
        (KEYED, A, 201, Answer(retry_after="1"), False),
        (KEYED, I, 202, Answer(retry_after="1"), False),
        (BLIND, I, 202, Answer(), False),
        (BLIND, I, 206, Answer(), False),
        (BLIND, I, 302, Answer(), True),
    ],
)
def test_only_what_leaves_hope_is_repeated(
    kind: RetryKind, outcome: Outcome, status: int | None, answer: Answer, is_repeated: bool
) -> None:
    assert (pause(Retries(kind=kind), outcome, status, answer) is not None) is is_repeated


@pytest.mark.parametrize(
    ("error", "is_repeated"),
    [("bad_reply: order_id is a string instead of a whole number", False), ("truncated", True)],
)
def test_success_that_is_not_understood_is_not_repeated_and_one_cut_short_is(
    error: str, is_repeated: bool
) -> None:
    conclusion = Conclusion(outcome=I, http_status=201, error=error)
    retries = Retries(kind=BLIND)
    found = retries.pause_s(conclusion, Answer(), attempt_no=1, jitter=0.5, now_s=0)
    assert (found is not None) is is_repeated


def test_attempts_are_counted_with_the_first() -> None:
    three = Retries(kind=KEYED, attempts_max=3)
    assert [pause(three, attempt_no=each) is not None for each in (1, 2, 3, 4)] == [
        *(True, True, False, False)
    ]


@given(
    st.builds(
        Retries,
        kind=st.sampled_from([BLIND, KEYED]),
        attempts_max=st.integers(2, 10_000),
        backoff_s=st.floats(0.001, 3600),
        backoff_max_s=st.floats(0.001, 3600),
    ),
    st.integers(1, 9_999),
    st.floats(0, 1, exclude_max=True),
    st.one_of(st.none(), st.integers(0, 60)),
)
def test_pause_is_within_full_jitter_above_what_the_shop_asked_for(
    retries: Retries, attempt_no: int, jitter: float, asked_s: int | None
) -> None:
    answer = Answer(retry_after="" if asked_s is None else str(asked_s))
    found = pause(retries, I, 503, answer, attempt_no=attempt_no, jitter=jitter)
    if attempt_no >= retries.attempts_max:
        assert found is None
        return
    assert found is not None
    longest = min(retries.backoff_max_s, retries.backoff_s * 2 ** min(attempt_no - 1, 1000))
    assert (asked_s or 0) <= found <= (asked_s or 0) + longest
    assert found == pytest.approx((asked_s or 0) + jitter * longest)


def test_backoff_doubles_until_its_cap() -> None:
    retries = Retries(kind=BLIND, backoff_s=0.2, backoff_max_s=1)
    assert [retries.longest_backoff_s(each) for each in range(1, 6)] == [0.2, 0.4, 0.8, 1, 1]


def test_customer_gives_up_where_the_shop_asks_for_too_long_a_wait() -> None:
    retries = Retries(kind=BLIND, retry_after_max_s=60)
    assert pause(retries, I, 503, Answer(retry_after="60")) is not None
    assert pause(retries, I, 503, Answer(retry_after="61")) is None
    assert pause(retries, I, 503, Answer(retry_after="9" * 400)) is None


def test_retry_after_date_is_compared_with_the_replys_own_clock() -> None:
    theirs = NOW - timedelta(hours=1)
    until = format_datetime(theirs + timedelta(seconds=30), usegmt=True)
    date = format_datetime(theirs, usegmt=True)
    assert retry_after_s(until, date=date, now_s=NOW.timestamp()) == 30
    in_ours = format_datetime(NOW + timedelta(seconds=30), usegmt=True)
    assert retry_after_s(in_ours, date="", now_s=NOW.timestamp()) == 30


def test_date_that_has_passed_asks_for_no_wait() -> None:
    assert retry_after_s("Fri, 31 Dec 1999 23:59:59 GMT", date="", now_s=NOW.timestamp()) == 0


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_header_is_read_or_taken_for_none(text: str, date: str) -> None:
    found = retry_after_s(text, date=date, now_s=NOW.timestamp())
    assert found is None or found >= 0


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "²"])
def test_header_that_is_neither_asks_for_no_wait(text: str) -> None:
    assert retry_after_s(text, date="", now_s=NOW.timestamp()) is None
