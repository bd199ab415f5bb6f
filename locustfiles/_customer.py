"""A customer of the shop: every request recorded, every order in the ledger before it is sent."""

import itertools
import json
import os
import time
import uuid
from dataclasses import dataclass
from http import HTTPStatus

import gevent
from locust import FastHttpUser
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment
from locust.exception import StopUser

from analysis.records import AttemptEnded, AttemptSent, Outcome, RequestDone
from locustfiles._connections import connect_once, drop_connections
from locustfiles._errors import LedgerFailed, RequestFailed
from locustfiles._journal import now
from locustfiles._outcome import (
    Conclusion,
    cause_of,
    conclude,
    failure_name,
    json_object,
    status_name,
)
from locustfiles._process import process

__all__ = ["Customer", "Reply"]

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: `body` if it is whole, and the JSON object `found` in it if it is one.

    `status` is None when no status line came; `failure` is what cut the exchange short.
    """

    status: int | None
    body: bytes
    failure: BaseException | None
    found: dict[str, object]

    @property
    def is_ok(self) -> bool:
        """Whether it is a whole 200."""
        return self.failure is None and self.status == HTTPStatus.OK


class Customer(FastHttpUser):
    """Reads and orders through Locust's client: no resends, no redirects, no endless waits."""

    abstract = True
    max_redirects = 0
    max_retries = 0

    def __init__(self, environment: Environment) -> None:
        settings = process.settings
        if settings is None:
            message = "no run is on"
            raise LedgerFailed(message)
        self.settings = settings
        self.connection_timeout = settings.connect_timeout_s
        self.network_timeout = settings.total_timeout_s
        super().__init__(environment)
        connect_once(self)
        self.user_id = f"{os.getpid()}-{next(_numbers)}"

    def read(self, path: str, name: str, *, named: int | None = None) -> Reply:
        """GET `path`, recorded and counted under `name`; the reply must name the id `named`."""
        _stop_if_over()
        sent_at = now()
        reply, response = self._exchange("GET", path, name=name)
        error = _reading_error(reply, named)
        self._record_read(reply, name, sent_at=sent_at, error=error)
        failure = error or ("" if reply.is_ok else status_name(reply.status))
        self._count(response, "GET", name, failure)
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
            reply, response = self._exchange(
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
        self._count(response, "POST", "/orders", failure_name(conclusion))
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
    ) -> tuple[Reply, ResponseContextManager | None]:
        """Send one request and read its reply, all within the total timeout."""
        limit = gevent.Timeout(self.settings.total_timeout_s)
        limit.start()
        response = None
        try:
            response = self.client.request(
                method,
                path,
                name=name,
                data=None if body is None else json.dumps(body),
                headers={**(headers or {}), **_JSON_HEADERS},
                catch_response=True,
            )
            failure = response.request_meta["exception"]
        except gevent.Timeout as timeout:
            if timeout is not limit:
                raise
            failure = timeout
        except Exception as error:  # noqa: BLE001 -- what a reply can make a client raise is open
            failure = error
        finally:
            limit.close()
        if failure is not None:
            drop_connections(self)
        status = (response.status_code or None) if response is not None else None
        is_whole = failure is None and response is not None
        content = (response.content or b"") if is_whole and response is not None else b""
        reply = Reply(status=status, body=content, failure=failure, found=json_object(content))
        return reply, response

    def _count(
        self, response: ResponseContextManager | None, method: str, name: str, failure: str
    ) -> None:
        """Count a request in Locust's statistics; `failure` is empty for a success."""
        if response is None:
            self.environment.events.request.fire(
                request_type=method,
                name=name,
                response_time=self.settings.total_timeout_s * 1000,
                response_length=0,
                exception=RequestFailed(failure),
                context=self.context(),
            )
            return
        with response:
            if failure:
                response.failure(RequestFailed(failure))  # type: ignore[no-untyped-call]
            else:
                response.success()  # type: ignore[no-untyped-call]

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
    )


def _reading_error(reply: Reply, named: int | None) -> str:
    """Return the ledger's word for what was wrong with a read, beside its status."""
    if reply.failure is not None:
        return cause_of(reply.failure)
    ids = (reply.found.get("order_id"), reply.found.get("id"))
    is_wrong = not reply.found or (named is not None and named not in ids)
    return "bad_reply" if reply.is_ok and is_wrong else ""
