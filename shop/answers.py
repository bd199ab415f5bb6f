"""How errors are answered: as problem details, never in the database's words."""

import logging
from http import HTTPStatus

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from shop.errors import BusyError, DatabaseUnavailableError, RefusedError
from shop.problems import problem

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 1


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
