"""A customer of the shop: every request recorded, every order in the ledger before it is sent."""

import itertools
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from locust import FastHttpUser, HttpUser, User
from locust.env import Environment

from analysis.evidence.answers import BAD_REPLY, NO_PRODUCTS
from analysis.evidence.ledger.line_records import AttemptSent
from analysis.evidence.records import Outcome
from harness.customers.attempts import first_attempt, headers_of, next_attempt
from harness.customers.catalogue import ids_of, why_none, wrong_with_products
from harness.customers.current_run import current_run
from harness.customers.exchange import Client, Reply, Request, exchange
from harness.customers.fast_client import FastClient
from harness.customers.outcome import Conclusion, cause_of, conclude, failure_name, status_name
from harness.customers.requests_client import RequestsClient
from harness.customers.retries import Answer, RetryKind
from harness.demand.watermarks import Cell
from harness.errors import RequestFailed
from harness.record.journal import now
from harness.record.recording import Over
from harness.run.listeners import listen

_numbers = itertools.count(1)


class AnyCustomer(User):
    """Reads and orders through a client: no resends, no redirects, no endless waits."""

    abstract = True
    http: Client

    def __init__(self, environment: Environment) -> None:
        self.current_run = current_run(environment)
        self.recording = self.current_run.recording
        self.settings = self.current_run.settings
        # Locust tells it only to the classes that it starts itself.
        self.host = self.host or environment.host
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

    def read(
        self,
        path: str,
        name: str,
        *,
        named: int | None = None,
        wrong_with: Callable[[Reply], str] = lambda _reply: "",
    ) -> Reply:
        """GET `path`, recorded and counted under `name`; the reply must name the id `named`.

        `wrong_with` says what else is wrong with a reply, in the same few words each time.
        """
        self._stop_if_over()
        sent_at = now()
        reply = self._exchange("GET", path, name=name)
        wrong = wrong_with(reply)
        error = f"{BAD_REPLY}: {wrong}" if wrong else _reading_error(reply, named)
        self.recording.read(self.user_id, reply, name, sent_at, error)
        failure = error or ("" if reply.is_ok else status_name(reply.status))
        self._count(reply, failure)
        return reply

    @property
    def only_browses(self) -> bool:
        """Whether orders come from a schedule, and so not from this customer."""
        return not self.current_run.desk.shoppers_order

    def look_for_products(self) -> list[int]:
        """List the products, and return the ids of what can be ordered."""
        reply = self.read("/products", "/products", wrong_with=wrong_with_products)
        found = ids_of(reply)
        if not found and (why := why_none(reply)):
            self.current_run.note_once(NO_PRODUCTS, f"GET /products: {why}")
        return found

    def order_one_of(self, product_ids: Sequence[int], *, due_at: int | None = None) -> Conclusion:
        """Order some pieces of one of these products; with --watermark, what no other can be."""
        self._stop_if_over()
        desk = self.current_run.desk
        cell = desk.choose(product_ids)
        is_open = True
        try:
            conclusions = self._order(cell, due_at)
            is_open = any(each.outcome is Outcome.INDETERMINATE for each in conclusions)
        finally:
            desk.release(cell, is_open=is_open)
        return conclusions[-1]

    def place_order(self, product_id: int, quantity: int) -> Conclusion:
        """Order just that, again if need be and wanted, and return what is known of the last."""
        return self._order(Cell(product_id=product_id, quantity=quantity), None)[-1]

    def miss_order(self) -> None:
        """Note that an order which was acknowledged is not there, for those who watch live."""
        if self.recording.live is not None:
            self.recording.live.lost()

    def turn_away(self, product_ids: Sequence[int], *, due_at: int, error: str) -> None:
        """Record an order that was due and will not be sent."""
        quantity = random.randint(1, self.settings.orders.quantity_max)
        cell = Cell(product_id=random.choice(product_ids), quantity=quantity)
        attempt = first_attempt(cell, user_id=self.user_id, due_at=due_at)
        self.recording.sent(replace(attempt, sent_at=None))
        self.recording.ended(attempt, Conclusion(outcome=Outcome.UNSENT, error=error), size=None)
        # Of no time at all: it must not make the shop look fast.
        self.environment.events.request.fire(
            request_type="POST",
            name="/orders",
            response_time=None,
            response_length=0,
            context=self.context(),
            exception=RequestFailed(error),
        )

    def _order(self, cell: Cell, due_at: int | None) -> list[Conclusion]:
        """Try to order until there is an answer, or no sense in asking again."""
        self._stop_if_over()
        attempt = first_attempt(cell, user_id=self.user_id, due_at=due_at)
        conclusions = []
        while True:
            conclusion, reply = self._try(attempt)
            conclusions.append(conclusion)
            pause_s = self._pause_before_retry(attempt, conclusion, reply)
            if pause_s is None or not self.current_run.desk.pause(pause_s):
                return conclusions
            attempt = next_attempt(attempt, self.settings.orders.retries.kind)

    def _pause_before_retry(
        self, attempt: AttemptSent, conclusion: Conclusion, reply: Reply
    ) -> float | None:
        retries = self.settings.orders.retries
        if retries.kind is RetryKind.NONE:
            return None
        return retries.pause_s(
            conclusion,
            _answer(reply),
            attempt_no=attempt.attempt_no,
            jitter=random.random(),
            now_s=time.time(),
        )

    def _try(self, attempt: AttemptSent) -> tuple[Conclusion, Reply]:
        """Send one attempt, and return what is known about it afterwards."""
        self.recording.sent(attempt)
        conclusion = Conclusion(outcome=Outcome.INDETERMINATE)
        size = 0
        try:
            reply = self._exchange(
                "POST",
                "/orders",
                name="/orders",
                body={"product_id": attempt.product_id, "quantity": attempt.quantity},
                headers=headers_of(attempt),
            )
            size = len(reply.body)
            conclusion = conclude(
                status=reply.status,
                body=reply.body,
                failure=reply.failure,
                product_id=attempt.product_id,
                quantity=attempt.quantity,
                order_key=attempt.order_key,
            )
        except BaseException as failure:
            conclusion = Conclusion(outcome=Outcome.INDETERMINATE, error=cause_of(failure))
            raise
        finally:
            self.recording.ended(attempt, conclusion, size)
        self._count(reply, failure_name(conclusion))
        return conclusion, reply

    def _stop_if_over(self) -> None:
        """Begin nothing once the run is stopping.

        Locust kills a user that it finds waiting, stop timeout or not; one that wakes up in that
        very moment would be killed with its request just sent.
        """
        if self.current_run.is_stopping:
            raise Over

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


def _answer(reply: Reply) -> Answer:
    """Return what a reply says of asking again."""
    problem = reply.found.get("type")
    return Answer(
        problem=problem if isinstance(problem, str) else "",
        retry_after=reply.header("Retry-After"),
        date=reply.header("Date"),
    )


def _reading_error(reply: Reply, named: int | None) -> str:
    """Return the ledger's word for what was wrong with a read, beside its status."""
    if reply.failure is not None:
        return cause_of(reply.failure)
    ids = (reply.found.get("order_id"), reply.found.get("id"))
    is_wrong = not reply.found or (named is not None and named not in ids)
    return BAD_REPLY if reply.is_ok and is_wrong else ""


# Whoever has customers is a part of a load. Orders that are due are those of plain ones.
listen(new_customer=Customer)
