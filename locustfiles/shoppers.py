"""Shoppers: they look around, order, and look at what they have ordered."""

import random
import sys
from http import HTTPStatus
from pathlib import Path

from locust import between, task

# `locust -f .../locustfiles` works from any directory, and nothing of ours is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.customers.customer import Customer

_SOME_ORDERS = 20


class Shopper(Customer):
    """A customer who orders about every third time; products are learnt from the shop itself."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """Come in: see what there is."""
        self.product_ids: list[int] = []
        self.order_ids: list[int] = []
        self.look_around()

    @task(3)
    def look_around(self) -> None:
        """List the products."""
        found = self.look_for_products()
        if found:
            self.product_ids = found

    @task(2)
    def look_at_one(self) -> None:
        """Read one product."""
        if self.product_ids:
            product_id = random.choice(self.product_ids)
            self.read(f"/products/{product_id}", "/products/{id}", named=product_id)

    @task(4)
    def order(self) -> None:
        """Order a few pieces of something, and read the order back if it was acknowledged."""
        if not self.product_ids:
            return
        if self.only_browses:
            self.look_at_one()
            return
        conclusion = self.order_one_of(self.product_ids)
        if conclusion.outcome == "acknowledged" and conclusion.order_id is not None:
            self.order_ids = [*self.order_ids, conclusion.order_id][-_SOME_ORDERS:]
            self._read_order(conclusion.order_id)

    @task(1)
    def look_at_an_order(self) -> None:
        """Read an earlier order: what was bought must stay readable."""
        if self.order_ids:
            self._read_order(random.choice(self.order_ids))

    def _read_order(self, order_id: int) -> None:
        reply = self.read(f"/orders/{order_id}", "/orders/{id}", named=order_id)
        if reply.status == HTTPStatus.NOT_FOUND:
            self.miss_order()
