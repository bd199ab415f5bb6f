"""The prober: one look at the shop every two seconds, as an operator with a shell loop would."""

import sys
import time
from pathlib import Path

from locust import constant, task

# `locust -f .../locustfiles` works from any directory, and nothing of ours is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.customers.customer import Customer


class Prober(Customer):
    """One of a kind, and the first of the users: with `--users 1` there is nobody else."""

    fixed_count = 1
    wait_time = constant(2)

    @task
    def probe(self) -> None:
        """GET /products on a connection of its own, and print the time and the status."""
        at = time.strftime("%H:%M:%S")
        self.drop_connections()
        reply = self.read("/products", "/products (probe)")
        print(f"{at} - {reply.status or 0:03d}", flush=True)
