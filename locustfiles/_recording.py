"""What a customer writes into the ledger; what cannot be written ends the customer."""

from locust.exception import StopUser

from analysis.records import AttemptSent, ended_line
from locustfiles._errors import LedgerFailed, NothingMore
from locustfiles._exchange import Reply
from locustfiles._journal import now
from locustfiles._outcome import Conclusion
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


def record_end(attempt: AttemptSent, conclusion: Conclusion, size: int | None) -> None:
    """Record what is known of an attempt that ends now; `size` is that of the reply's body."""
    try:
        process.ledger.write(
            ended_line(
                attempt.attempt_id,
                now(),
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


def record_read(user_id: str, reply: Reply, name: str, *, sent_at: int, error: str) -> None:
    """Record a read that ends now; `error` is what was wrong with it, beside its status."""
    served_by = reply.found.get("served_by")
    try:
        process.ledger.put_off(
            (
                user_id,
                name,
                "GET",
                None,  # due_at
                sent_at,
                now(),
                reply.status,
                error,
                len(reply.body),
                served_by if isinstance(served_by, str) else "",
            )
        )
    except LedgerFailed as failure:
        raise Over from failure
