"""A locustfile: each user goes to one door of the broken shop, orders twice there and reads once.

The doors' URLs are in DOORS, the client is chosen by CLIENT. Products are numbered as doors are.
"""

import json
import os

import gevent
from locust import constant, task
from locust.env import Environment

from harness.customers.customer import Customer, RequestsCustomer

_doors = list(enumerate(json.loads(os.environ["DOORS"]), 1))
_there = len(_doors)
_CUSTOMER = RequestsCustomer if os.environ["CLIENT"] == "requests" else Customer


class Tourist(_CUSTOMER):  # type: ignore[misc, valid-type]
    """Sees one door; the last one to have done so ends the run."""

    wait_time = constant(60)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.number, self.client.base_url = _doors.pop()
        self.client.verify = os.environ["CERTIFICATE"]

    @task
    def visit(self) -> None:
        global _there  # noqa: PLW0603
        for quantity in (1, 2):
            self.place_order(self.number, quantity)
            gevent.sleep(0.8)  # what is yet to come on the connection has come
        self.read("/products", "/products")
        _there -= 1
        if _there == 0:
            gevent.spawn(self.environment.runner.quit)
