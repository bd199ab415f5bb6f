"""What a customer writes into the ledger; what cannot be written ends the customer.

Users wait while this runs, between all else that a request costs: a call that is cheap in a loop of
its own takes 0.2 us here. So there are as few as can be.
"""

from time import time_ns

from locust.exception import StopUser

from analysis.evidence.ledger.format import (
    UNPLAIN,
    AttemptSent,
    EndedFields,
    RequestFields,
    SentFields,
    encode,
    lines_of,
)
from harness.customers.exchange import Reply
from harness.customers.outcome import Conclusion, status_name
from harness.errors import LedgerFailed, NothingMore
from harness.record.ledger import WAITING_MAX
from harness.run.process import process

__all__ = ["Over", "record_end", "record_read", "record_sent"]

# A line that is not plain, one that finds no room, and a ledger that has failed.
_UNUSUAL = (*UNPLAIN, ValueError, LedgerFailed)


class Over(NothingMore, StopUser):
    """The end of a customer, in our words and in Locust's."""


def record_sent(attempt: AttemptSent) -> None:
    """Record that an attempt is about to be sent, or (without a time) that it will not be."""
    fields: SentFields = (
        "sent",
        attempt.attempt_id,
        attempt.order_key,
        attempt.attempt_no,
        attempt.user_id,
        attempt.product_id,
        attempt.quantity,
        attempt.due_at,
        attempt.sent_at,
        attempt.trace_id,
        attempt.retry_of,
    )
    try:
        process.ledger.put(encode(fields) + b"\n")
    except _UNUSUAL:
        _write(fields)
    if process.live is not None:
        process.live.sent()


def record_end(attempt: AttemptSent, conclusion: Conclusion, size: int | None) -> None:
    """Record what is known of an attempt that ends now; `size` is that of the reply's body."""
    ended_at = time_ns() // 1000
    fields: EndedFields = (
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
    try:
        process.ledger.put(encode(fields) + b"\n")
    except _UNUSUAL:
        _write(fields)
    if process.live is not None:
        process.live.ended(attempt, conclusion, ended_at=ended_at)


def record_read(user_id: str, reply: Reply, name: str, sent_at: int, error: str) -> None:
    """Record a read that ends now; `error` is what was wrong with it, beside its status."""
    ended_at = time_ns() // 1000
    served_by = reply.found.get("served_by")
    fields: RequestFields = (
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
    ledger = process.ledger
    if ledger.refusal is not None:
        raise Over from ledger.refusal
    waiting = ledger.waiting
    waiting.append(fields)
    if len(waiting) >= WAITING_MAX:
        _put_waiting()
    if process.live is not None:
        failed_with = error or ("" if reply.is_ok else status_name(reply.status))
        process.live.request(failed_with, sent_at=sent_at, ended_at=ended_at)


def _write(fields: SentFields | EndedFields) -> None:
    try:
        process.ledger.write(lines_of((fields,)))
    except LedgerFailed as failure:
        raise Over from failure


def _put_waiting() -> None:
    try:
        process.ledger.put_waiting()
    except LedgerFailed as failure:
        raise Over from failure
