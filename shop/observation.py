"""One log line and a few counts for each request, whatever becomes of it."""

from __future__ import annotations

import logging
import time
import uuid

from flask import Flask, Response, g, request

from shop import current, metrics
from shop.order_request import TAG

logger = logging.getLogger("shop.requests")

# A path is as long as its sender likes.
LONGEST_PATH = 200


def observe(app: Flask) -> None:
    """Log and count every request of `app`; name each in its answer's X-Request-Id."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.started = time.perf_counter()


def _end(answer: Response) -> Response:
    duration_s = time.perf_counter() - g.started
    given = request.headers.get("X-Request-Id", "")
    request_id = given if TAG.fullmatch(given) else str(uuid.uuid4())
    answer.headers["X-Request-Id"] = request_id
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if route != "none" else "any"
    metrics.REQUESTS.labels(method, route, answer.status_code).inc()
    metrics.DURATION.labels(route).observe(duration_s)
    line: dict[str, object] = {
        "method": request.method,
        "path": request.path[:LONGEST_PATH],
        "status": answer.status_code,
        "duration_ms": round(duration_s * 1000, 2),
        "request_id": request_id,
        "served_by": current.settings().instance_id,
    }
    key = request.headers.get("Idempotency-Key", "")
    if TAG.fullmatch(key):
        line["order_key"] = key
    logger.info(line)
    return answer
