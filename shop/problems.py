"""The kinds of error that the shop answers with, as problem details (RFC 9457).

`error` is the article's field and repeats `detail`; programs should look at `type`.
"""

import json
from collections.abc import Mapping
from urllib.parse import quote

from flask import Response, request

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
