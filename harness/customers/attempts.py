"""Attempts as they are about to be sent: their ids, their order's key, and what they repeat."""

import os
import time
import uuid
from dataclasses import replace

from analysis.evidence.ledger.line_records import AttemptSent
from harness.customers.retries import RetryKind
from harness.demand.watermarks import Cell
from harness.record.journal import now


def first_attempt(cell: Cell, *, user_id: str, due_at: int | None) -> AttemptSent:
    """Return the first attempt at a new order, to be sent now."""
    attempt_id = _new_id()
    return AttemptSent(
        attempt_id=str(attempt_id),
        order_key=str(uuid.uuid4()),
        attempt_no=1,
        user_id=user_id,
        product_id=cell.product_id,
        quantity=cell.quantity,
        due_at=due_at,
        sent_at=now(),
        trace_id=_trace_id(attempt_id),
    )


def next_attempt(earlier: AttemptSent, kind: RetryKind) -> AttemptSent:
    """Return the attempt that repeats an earlier one, to be sent now; no schedule had it due."""
    attempt_id = _new_id()
    return replace(
        earlier,
        attempt_id=str(attempt_id),
        order_key=earlier.order_key if kind is RetryKind.KEYED else str(uuid.uuid4()),
        attempt_no=earlier.attempt_no + 1,
        due_at=None,
        sent_at=now(),
        trace_id=_trace_id(attempt_id),
        retry_of=earlier.attempt_id,
    )


def headers_of(attempt: AttemptSent) -> dict[str, str]:
    """Return the headers that carry an attempt's ids to the shop and the load balancer's log."""
    return {
        "Idempotency-Key": attempt.order_key,
        "X-Request-Id": attempt.attempt_id,
        "X-Amzn-Trace-Id": attempt.trace_id,
    }


def _new_id() -> uuid.UUID:
    # The time in front makes the id fit the load balancer's trace id, and sorts.
    return uuid.UUID(bytes=int(time.time()).to_bytes(4) + os.urandom(12), version=4)


def _trace_id(attempt_id: uuid.UUID) -> str:
    digits = attempt_id.hex
    return f"Root=1-{digits[:8]}-{digits[8:]}"
