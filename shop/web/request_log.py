"""One log line and a few counts for each request, whatever becomes of it."""

import logging
import time
import uuid
from functools import cache
from typing import Any

from flask import Flask, Response, g

from shop.observation import metrics
from shop.web import current
from shop.web.order_request import TAG

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
    request = current.request()
    environ = request.environ
    duration_s = time.perf_counter() - g.started
    given = environ.get("HTTP_X_REQUEST_ID", "")
    request_id: str = given if TAG.fullmatch(given) else str(uuid.uuid4())
    route = request.url_rule.rule if request.url_rule else "none"
    # What a stranger asks for must fill neither the metrics nor this cache.
    method = request.method if request.url_rule else "any"
    requests, duration = _instruments(method, route, answer.status_code)
    requests.inc()
    duration.observe(duration_s)
    line: dict[str, object] = {
        "method": request.method,
        "path": request.path[:LONGEST_PATH],
        "status": answer.status_code,
        "duration_ms": round(duration_s * 1000, 2),
        "request_id": request_id,
        "served_by": current.settings().instance_id,
    }
    key = environ.get("HTTP_IDEMPOTENCY_KEY", "")
    if TAG.fullmatch(key):
        line["order_key"] = key
    logger.info(line)
    answer.headers["X-Request-Id"] = request_id
    return answer


@cache
def _instruments(method: str, route: str, status: int) -> Any:
    return metrics.REQUESTS.labels(method, route, status), metrics.DURATION.labels(route)
