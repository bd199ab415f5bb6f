"""How errors are answered: as problem details (RFC 9457), never in the database's words.

`error` is the article's field and repeats `detail`; programs should look at `type`.
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from shop.errors import BusyError, DatabaseUnavailableError, RefusedError

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 1

MEDIA_TYPE = "application/problem+json"
# A tag (RFC 4151): a name for the kind, which nobody is meant to fetch.
TYPE = "tag:chaos-shop.example,2026:"

# kind -> title, the same for every occurrence.
KINDS = {
    "bad-header": "A header is not what it should be",
    "bad-json": "The body is not JSON",
    "busy": "The shop is too busy",
    "fault": "A fault of the shop's",
    "field-missing": "The order lacks a field",
    "field-type": "A field is of the wrong type",
    "insufficient-stock": "Not enough in stock",
    "key-in-progress": "The key's first request is still at work",
    "key-missing": "An Idempotency-Key is required",
    "key-reused": "The key names another order",
    "keys-not-kept": "This shop keeps no order keys",
    "not-found": "There is no such thing",
    "outcome-unknown": "The order may have been placed or not",
    "quantity": "The quantity cannot be ordered",
    "query": "The query is not what it should be",
    "unavailable": "The database is not available",
    "unsupported-media-type": "The body is of another media type",
}


def problem(
    status: int,
    error: str,
    *,
    kind: str | None = None,
    title: str | None = None,
    details: Mapping[str, int | str] | None = None,
    retry_after_s: int | None = None,
) -> Response:
    """Return an answer with the article's `error`, `details`, and the five standard members.

    Without a `kind` the problem is about HTTP itself and `title` is the status's.
    """
    body = {
        "error": error,
        **(details or {}),
        "type": f"{TYPE}{kind}" if kind else "about:blank",
        "title": KINDS[kind] if kind else title,
        "status": status,
        "detail": error,
        "instance": quote(request.path[:200]),
    }
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return Response(json.dumps(body), status=status, headers=headers, content_type=MEDIA_TYPE)


def register_error_answers(app: Flask) -> None:
    """Give `app` an answer to every exception that a request can raise."""
    app.register_error_handler(RefusedError, _answer_refusal)
    app.register_error_handler(DatabaseUnavailableError, _answer_unavailable)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_fault)


def _answer_refusal(error: RefusedError) -> Response:
    retry_after_s = RETRY_AFTER_S if error.kind == "key-in-progress" else None
    return problem(
        error.status,
        str(error),
        kind=error.kind,
        details=error.details,
        retry_after_s=retry_after_s,
    )


def _answer_unavailable(error: DatabaseUnavailableError) -> Response:
    return problem(
        503,
        f"{error}; nothing was changed, try again",
        kind="busy" if isinstance(error, BusyError) else "unavailable",
        retry_after_s=RETRY_AFTER_S,
    )


def _answer_http(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    answer = problem(status, error.name.lower(), title=error.name)
    # Werkzeug's own headers are kept, such as Allow on a 405.
    for name, value in error.get_response().headers:
        if name not in {"Content-Type", "Content-Length"}:
            answer.headers[name] = value
    return answer


def _answer_fault(error: Exception) -> Response:
    logger.error("internal error", exc_info=error)
    return problem(500, "internal error", kind="fault")
