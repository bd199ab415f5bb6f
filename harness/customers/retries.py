"""Whether and when a customer's app asks again for what it got no good answer to. Pure.

The pause is exponential backoff with full jitter: random between 0 and min(cap, base * 2**n), n
counted from 0 (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus

from analysis.evidence.answers import was_answered
from analysis.evidence.records import Outcome
from harness.customers.outcome import Conclusion

_IN_PROGRESS = "key-in-progress"
_LARGEST_POWER = 60


class RetryKind(StrEnum):
    """How an order is repeated: never, under a new key each time, or under the same."""

    NONE = "none"
    BLIND = "blind"
    KEYED = "keyed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What of a reply says when to ask again; each is empty where the reply had it not.

    `problem` is the problem's type (RFC 9457), `retry_after` and `date` are headers.
    """

    problem: str = ""
    retry_after: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often and how soon. `attempts_max` counts the first attempt too."""

    kind: RetryKind = RetryKind.NONE
    attempts_max: int = 3
    backoff_s: float = 0.2
    backoff_max_s: float = 5.0
    retry_after_max_s: float = 60.0

    def pause_s(
        self,
        conclusion: Conclusion,
        answer: Answer,
        *,
        attempt_no: int,
        jitter: float,
        now_s: float,
    ) -> float | None:
        """Seconds to wait before the next attempt; None if there is to be none.

        `attempt_no` is that of the attempt that has ended, `jitter` random in [0, 1), `now_s` the
        time by our clock. No retry comes sooner than the shop's Retry-After asks for: where that
        is longer than `retry_after_max_s` the customer gives up.
        """
        if self.kind is RetryKind.NONE or attempt_no >= self.attempts_max:
            return None
        if not self._is_worth_it(conclusion, answer):
            return None
        asked_s = retry_after_s(answer.retry_after, date=answer.date, now_s=now_s) or 0.0
        if asked_s > self.retry_after_max_s:
            return None
        return asked_s + jitter * self.longest_backoff_s(attempt_no)

    def longest_backoff_s(self, attempt_no: int) -> float:
        """Return what the random pause after this attempt is less than."""
        power = min(attempt_no - 1, _LARGEST_POWER)
        return min(self.backoff_max_s, self.backoff_s * 2.0**power)

    def _is_worth_it(self, conclusion: Conclusion, answer: Answer) -> bool:
        """Whether the answer leaves hope: sold out is final, and so is a bad request."""
        if was_answered(conclusion.http_status, conclusion.error):
            return False  # with a success, if only a 202: to ask again would order again
        if conclusion.outcome in {Outcome.INDETERMINATE, Outcome.UNSENT}:
            return True
        if conclusion.http_status == HTTPStatus.TOO_MANY_REQUESTS:
            return True
        # The first request with this key is still at work. Under a new key nobody is told so.
        is_conflict = conclusion.http_status == HTTPStatus.CONFLICT
        return is_conflict and self.kind is RetryKind.KEYED and _says_in_progress(answer)


def retry_after_s(text: str, *, date: str, now_s: float) -> float | None:
    """Read a Retry-After (RFC 9110): seconds, or a date; None where it is neither.

    A date is compared with the reply's own `date`, where that is given: our clock may differ.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    until = _http_date(text)
    if until is None:
        return None
    sent = _http_date(date)
    return max(0.0, until - (now_s if sent is None else sent))


def _says_in_progress(answer: Answer) -> bool:
    # Who answers 409 to what is final asks nobody to come back.
    return answer.problem.endswith(_IN_PROGRESS) or bool(answer.retry_after)


def _http_date(text: str) -> float | None:
    try:
        moment: datetime = parsedate_to_datetime(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
