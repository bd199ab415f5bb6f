"""A locustfile: shoppers without rest, ours and plain ones by turns, 60 ms each.

A plain one is what somebody writes with Locust alone: the same requests in the same mixture, and
the checks that tell a good reply from a bad one. It has no total timeout, no attempt's ids, no
record, and its client may send a request again. Whose turn it is not waits, connections open.
"""

import random
import uuid
from typing import Any

from locust import FastHttpUser, User, task
from gevent.event import Event

from locustfiles import shoppers
from tests.bench.slices import measure_slices

_SOME_ORDERS = 20
_turns = {"ours": Event(), "plain": Event()}


def _wait_for_turn(user: User) -> float:
    _turns[type(user).whose].wait()  # type: ignore[attr-defined]
    return 0.0


class Ours(shoppers.Shopper):
    """The customers of this harness, with all that they do."""

    whose = "ours"
    wait_time = _wait_for_turn


class Plain(FastHttpUser):
    """The same errands with Locust's own client."""

    whose = "plain"
    wait_time = _wait_for_turn

    def on_start(self) -> None:
        """Come in: see what there is."""
        self.product_ids: list[int] = []
        self.order_ids: list[int] = []
        self.look_around()

    @task(3)
    def look_around(self) -> None:
        """List the products."""
        found = self._read("/products", "/products").get("products")
        if found:
            self.product_ids = [each["id"] for each in found]

    @task(2)
    def look_at_one(self) -> None:
        """Read one product."""
        product_id = random.choice(self.product_ids)
        self._read(f"/products/{product_id}", "/products/{id}", named=product_id)

    @task(4)
    def order(self) -> None:
        """Order, and read the order back."""
        with self.client.post(
            "/orders",
            name="/orders",
            json={"product_id": random.choice(self.product_ids), "quantity": random.randint(1, 3)},
            headers={"Idempotency-Key": str(uuid.uuid4())},
            catch_response=True,
        ) as response:
            order_id = _object(response).get("order_id")
            if type(order_id) is not int:
                response.failure("bad_reply")
                return
        self.order_ids = [*self.order_ids, order_id][-_SOME_ORDERS:]
        self._read_order(order_id)

    @task(1)
    def look_at_an_order(self) -> None:
        """Read an earlier order."""
        if self.order_ids:
            self._read_order(random.choice(self.order_ids))

    def _read_order(self, order_id: int) -> None:
        self._read(f"/orders/{order_id}", "/orders/{id}", named=order_id)

    def _read(self, path: str, name: str, *, named: int | None = None) -> dict[str, Any]:
        with self.client.get(path, name=name, catch_response=True) as response:
            found = _object(response)
            ids = (found.get("order_id"), found.get("id"))
            if not found or (named is not None and named not in ids):
                response.failure("bad_reply")
            return found


def _object(response: Any) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _switch(is_on: bool) -> None:
    _turns["plain" if is_on else "ours"].clear()
    _turns["ours" if is_on else "plain"].set()


for turn in _turns.values():
    turn.set()
measure_slices(_switch)
