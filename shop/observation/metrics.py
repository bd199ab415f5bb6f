"""What the shop counts, for Prometheus.

A server is several processes. With PROMETHEUS_MULTIPROC_DIR in the environment, which
`shop.gunicorn_conf` sees to, `/metrics` speaks for all of them, whichever answers; without
it, only for the process that answers.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    generate_latest,
    multiprocess,
)

from shop.observation.metrics_folder import VARIABLE

CONTENT_TYPE = CONTENT_TYPE_LATEST

# Route and not path: what a stranger asks for must not become a time series of its own.
REQUESTS = Counter("shop_requests", "Requests answered.", ("method", "route", "status"))
DURATION = Histogram(
    "shop_request_seconds",
    "From a request's arrival in the application to its answer.",
    ("route",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
ORDERS = Counter(
    "shop_orders",
    "What became of requests to order: placed, replayed, refused, unavailable, unknown.",
    ("result",),
)
PLACED = ORDERS.labels("placed")
PIECES = Counter("shop_pieces_sold", "Pieces in the orders that were placed.")
SETTLED = Counter(
    "shop_commits_settled",
    "COMMITs without an answer: committed or aborted as the server said later, or unknown.",
    ("result",),
)
TROUBLE = Counter("shop_database_trouble", "What went wrong with the database.", ("kind",))


class _AllProcesses(multiprocess.MultiProcessCollector):
    """Of every process but one that has only just opened its file, or ended on doing so."""

    def collect(self) -> Iterable[Metric]:
        """Return what they counted together. prometheus_client fails on an empty file."""
        files = [str(file) for file in Path(self._path).glob("*.db") if file.stat().st_size]
        found: Iterable[Metric] = self.merge(files, accumulate=True)  # type: ignore[no-untyped-call]
        return found


def render() -> bytes:
    """Return the metrics in Prometheus' text format."""
    if VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    _AllProcesses(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
