"""What a customer writes into the ledger; what cannot be written ends the customer."""

from locust.exception import StopUser

from analysis.records import AttemptSent
from locustfiles._errors import LedgerFailed, NothingMore
from locustfiles._exchange import Reply
from locustfiles._journal import now
from locustfiles._outcome import Conclusion, status_name
from locustfiles._process import process

__all__ = ["Over", "record_end", "record_read", "record_sent"]


class Over(NothingMore, StopUser):
    """The end of a customer, in our words and in Locust's."""


def record_sent(attempt: AttemptSent) -> None:
    """Record that an attempt is about to be sent, or (without a time) that it will not be."""
    try:
        process.ledger.sent(attempt)
    except LedgerFailed as failure:
        raise Over from failure
    if process.live is not None:
        process.live.sent()


def record_end(attempt: AttemptSent, conclusion: Conclusion, size: int | None) -> None:
    """Record what is known of an attempt that ends now; `size` is that of the reply's body."""
    ended_at = now()
    try:
        process.ledger.ended(
            (
                "ended",
                attempt.attempt_id,
                ended_at,
                conclusion.outcome,
                conclusion.http_status,
                conclusion.error,
                conclusion.order_id,
                conclusion.served_by,
                size,
            )
        )
    except LedgerFailed as failure:
        raise Over from failure
    if process.live is not None:
        process.live.ended(attempt, conclusion, ended_at=ended_at)


def record_read(user_id: str, reply: Reply, name: str, sent_at: int, error: str) -> None:
    """Record a read that ends now; `error` is what was wrong with it, beside its status."""
    ended_at = now()
    served_by = reply.found.get("served_by")
    try:
        process.ledger.put_off(
            (
                "request",
                user_id,
                name,
                "GET",
                None,  # due_at
                sent_at,
                ended_at,
                reply.status,
                error,
                len(reply.body),
                served_by if isinstance(served_by, str) else "",
            )
        )
    except LedgerFailed as failure:
        raise Over from failure
    if process.live is not None:
        failed_with = error or ("" if reply.is_ok else status_name(reply.status))
        process.live.request(failed_with, sent_at=sent_at, ended_at=ended_at)
