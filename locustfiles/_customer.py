"""A customer of the shop: every request recorded, every order in the ledger before it is sent."""

import itertools
import json
import os
import time
import uuid

from locust import FastHttpUser, HttpUser, User
from locust.env import Environment
from locust.exception import StopUser

from analysis.records import AttemptEnded, AttemptSent, Outcome, RequestDone
from locustfiles._errors import LedgerFailed, RequestFailed
from locustfiles._exchange import Client, Reply, Request, exchange
from locustfiles._fast_client import FastClient
from locustfiles._journal import now
from locustfiles._outcome import (
    Conclusion,
    cause_of,
    conclude,
    failure_name,
    status_name,
)
from locustfiles._process import process
from locustfiles._requests_client import RequestsClient

__all__ = ["Customer", "Reply", "RequestsCustomer"]

_numbers = itertools.count(1)


class AnyCustomer(User):
    """Reads and orders through a client: no resends, no redirects, no endless waits."""

    abstract = True
    http: Client

    def __init__(self, environment: Environment) -> None:
        settings = process.settings
        if settings is None:
            message = "no run is on"
            raise LedgerFailed(message)
        self.settings = settings
        super().__init__(environment)
        self.user_id = f"{os.getpid()}-{next(_numbers)}"

    @property
    def timeouts(self) -> dict[str, float]:
        """What a client must keep to."""
        return {
            "connect_timeout_s": self.settings.connect_timeout_s,
            "total_timeout_s": self.settings.total_timeout_s,
        }

    def drop_connections(self) -> None:
        """Have the next request make a new connection."""
        self.http.drop()

    def read(self, path: str, name: str, *, named: int | None = None) -> Reply:
        """GET `path`, recorded and counted under `name`; the reply must name the id `named`."""
        _stop_if_over()
        sent_at = now()
        reply = self._exchange("GET", path, name=name)
        error = _reading_error(reply, named)
        self._record_read(reply, name, sent_at=sent_at, error=error)
        failure = error or ("" if reply.is_ok else status_name(reply.status))
        self._count(reply, failure)
        return reply

    def place_order(self, product_id: int, quantity: int) -> Conclusion:
        """Try once to order, and return what is known about it afterwards."""
        _stop_if_over()
        attempt = self._new_attempt(product_id, quantity)
        try:
            process.ledger.sent(attempt)
        except LedgerFailed as failure:
            raise StopUser from failure
        conclusion = Conclusion(outcome=Outcome.INDETERMINATE)
        size = 0
        try:
            reply = self._exchange(
                "POST",
                "/orders",
                name="/orders",
                body={"product_id": product_id, "quantity": quantity},
                headers={
                    "Idempotency-Key": attempt.order_key,
                    "X-Request-Id": attempt.attempt_id,
                    "X-Amzn-Trace-Id": attempt.trace_id,
                },
            )
            size = len(reply.body)
            conclusion = _conclude(reply, attempt)
        except BaseException as failure:
            conclusion = Conclusion(outcome=Outcome.INDETERMINATE, error=cause_of(failure))
            raise
        finally:
            self._record_end(attempt, conclusion, size)
        self._count(reply, failure_name(conclusion))
        return conclusion

    def _new_attempt(self, product_id: int, quantity: int) -> AttemptSent:
        # The time in front makes the id fit the load balancer's trace id, and sorts.
        attempt_id = uuid.UUID(bytes=int(time.time()).to_bytes(4) + os.urandom(12), version=4)
        digits = attempt_id.hex
        return AttemptSent(
            attempt_id=str(attempt_id),
            order_key=str(uuid.uuid4()),
            attempt_no=1,
            user_id=self.user_id,
            product_id=product_id,
            quantity=quantity,
            due_at=None,
            sent_at=now(),
            trace_id=f"Root=1-{digits[:8]}-{digits[8:]}",
        )

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        name: str,
        body: dict[str, int] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        request = Request(
            method=method,
            path=path,
            name=name,
            headers={**(headers or {}), **_JSON_HEADERS},
            body=None if body is None else json.dumps(body),
        )
        return exchange(self.http, request, total_timeout_s=self.settings.total_timeout_s)

    def _count(self, reply: Reply, failure: str) -> None:
        """Count a request in Locust's statistics; `failure` is empty for a success."""
        self.environment.events.request.fire(
            **reply.counted,
            context=self.context(),
            exception=RequestFailed(failure) if failure else None,
        )

    def _record_end(self, attempt: AttemptSent, conclusion: Conclusion, size: int) -> None:
        try:
            process.ledger.ended(
                AttemptEnded(
                    attempt_id=attempt.attempt_id,
                    ended_at=now(),
                    outcome=conclusion.outcome,
                    http_status=conclusion.http_status,
                    error=conclusion.error,
                    order_id=conclusion.order_id,
                    served_by=conclusion.served_by,
                    bytes=size,
                )
            )
        except LedgerFailed as failure:
            raise StopUser from failure

    def _record_read(self, reply: Reply, name: str, *, sent_at: int, error: str) -> None:
        served_by = reply.found.get("served_by")
        try:
            process.ledger.request(
                RequestDone(
                    user_id=self.user_id,
                    name=name,
                    method="GET",
                    due_at=None,
                    sent_at=sent_at,
                    ended_at=now(),
                    http_status=reply.status,
                    error=error,
                    bytes=len(reply.body),
                    served_by=served_by if isinstance(served_by, str) else "",
                )
            )
        except LedgerFailed as failure:
            raise StopUser from failure


class Customer(AnyCustomer, FastHttpUser):
    """A customer with Locust's fast client."""

    abstract = True
    max_redirects = 0
    max_retries = 0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.http = FastClient(self, **self.timeouts)


class RequestsCustomer(AnyCustomer, HttpUser):
    """A customer with the client that is python-requests, about half as fast."""

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.http = RequestsClient(self, **self.timeouts)


_JSON_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
}


def _stop_if_over() -> None:
    """Begin nothing once the run is stopping.

    Locust kills a user that it finds waiting, stop timeout or not; one that wakes up in that very
    moment would be killed with its request just sent.
    """
    if process.is_stopping:
        raise StopUser


def _conclude(reply: Reply, attempt: AttemptSent) -> Conclusion:
    return conclude(
        status=reply.status,
        body=reply.body,
        failure=reply.failure,
        product_id=attempt.product_id,
        quantity=attempt.quantity,
        order_key=attempt.order_key,
    )


def _reading_error(reply: Reply, named: int | None) -> str:
    """Return the ledger's word for what was wrong with a read, beside its status."""
    if reply.failure is not None:
        return cause_of(reply.failure)
    ids = (reply.found.get("order_id"), reply.found.get("id"))
    is_wrong = not reply.found or (named is not None and named not in ids)
    return "bad_reply" if reply.is_ok and is_wrong else ""
