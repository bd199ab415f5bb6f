"""How errors are answered: always in JSON, never in the database's words."""

from __future__ import annotations

import logging

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from shop.errors import DatabaseUnavailableError, RefusedError

logger = logging.getLogger(__name__)


def register_error_answers(app: Flask) -> None:
    """Give `app` an answer to every exception that a request can raise."""
    app.register_error_handler(RefusedError, _answer_refusal)
    app.register_error_handler(DatabaseUnavailableError, _answer_unavailable)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_fault)


def _answer_refusal(error: RefusedError) -> ResponseReturnValue:
    return jsonify(error=str(error), **error.details), error.status


def _answer_unavailable(error: DatabaseUnavailableError) -> ResponseReturnValue:
    return jsonify(error=f"{error}; nothing was changed, try again"), 503


def _answer_http(error: HTTPException) -> ResponseReturnValue:
    # Werkzeug's own response is kept for its headers, such as Allow on a 405.
    response = error.get_response()
    response.data = jsonify(error=error.name.lower()).data
    response.content_type = "application/json"
    return response


def _answer_fault(error: Exception) -> ResponseReturnValue:
    logger.error("internal error", exc_info=error)
    return jsonify(error="internal error"), 500
