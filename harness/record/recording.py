"""What customers write into the ledger; what cannot be written ends the customer.

Users wait while this runs, between all else that a request costs: a call that is cheap in a loop of
its own takes 0.2 us here. So there are as few as can be.
"""

from time import time_ns

from locust.exception import StopUser

from analysis.evidence.ledger.line_records import (
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
from harness.record.counts_by_second import LiveCounts
from harness.record.ledger import WAITING_MAX, Ledger, NoLedger

# A line that is not plain, one that finds no room, and a ledger that has failed.
_UNUSUAL = (*UNPLAIN, ValueError, LedgerFailed)


class Over(NothingMore, StopUser):
    """The end of a customer, in our words and in Locust's."""


class Recording:
    """The record of one process and run. `live` counts for those who watch, where anybody does.

    Both are asked at each request: plain attributes. `ledger` is none before the run and after it.
    """

    __slots__ = ("ledger", "live")

    def __init__(self, ledger: Ledger | NoLedger, live: LiveCounts | None = None) -> None:
        self.ledger = ledger
        self.live = live

    def sent(self, attempt: AttemptSent) -> None:
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
            self.ledger.put(encode(fields) + b"\n")
        except _UNUSUAL:
            self._write(fields)
        if self.live is not None:
            self.live.sent()

    def ended(self, attempt: AttemptSent, conclusion: Conclusion, size: int | None) -> None:
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
            self.ledger.put(encode(fields) + b"\n")
        except _UNUSUAL:
            self._write(fields)
        if self.live is not None:
            self.live.ended(attempt, conclusion, ended_at=ended_at)

    def read(self, user_id: str, reply: Reply, name: str, sent_at: int, error: str) -> None:
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
        ledger = self.ledger
        if ledger.refusal is not None:
            raise Over from ledger.refusal
        waiting = ledger.waiting
        waiting.append(fields)
        if len(waiting) >= WAITING_MAX:
            self._put_waiting()
        if self.live is not None:
            failed_with = error or ("" if reply.is_ok else status_name(reply.status))
            self.live.request(failed_with, sent_at=sent_at, ended_at=ended_at)

    def _write(self, fields: SentFields | EndedFields) -> None:
        try:
            self.ledger.write(lines_of((fields,)))
        except LedgerFailed as failure:
            raise Over from failure

    def _put_waiting(self) -> None:
        try:
            self.ledger.put_waiting()
        except LedgerFailed as failure:
            raise Over from failure
