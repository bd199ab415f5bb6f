"""Orders as programs send them, placed before Flask: it takes as long as all else together.

What is not plainly an order, and what was not placed, is answered by Flask and `shop.orders`
as if this were not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from shop import observation
from shop.database import Database
from shop.documents import ENCODER
from shop.errors import RefusedError
from shop.order_request import load_tags, parse_order
from shop.order_tables import ORDER_TABLES
from shop.orders import RAISED, render_placement
from shop.placement import OrderRequest, place_order
from shop.pool import Pool
from shop.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

PATH = "/orders"
LENGTH = re.compile("[0-9]{1,9}")
NAMES = {"HTTP_IDEMPOTENCY_KEY", "HTTP_X_REQUEST_ID"}


class PlainOrders:
    """A WSGI application that answers plain orders, and leaves the others to `others`."""

    def __init__(
        self, others: WSGIApplication, *, settings: Settings, pool: Pool, largest_body: int
    ) -> None:
        self._others = others
        self._settings = settings
        self._pool = pool
        self._largest_body = largest_body
        self._table = ORDER_TABLES[settings.schema]

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 has it."""
        wanted = self._read(environ) if self._is_plain(environ) else None
        if wanted is None:
            return self._others(environ, start_response)
        served_by = self._settings.instance_id
        try:
            database = Database(self._pool, self._settings)
            placement = place_order(database, self._table, wanted, served_by=served_by)
        except Exception as error:  # noqa: BLE001  # raised again where it is answered
            return self._others(_without_address(environ) | {RAISED: error}, start_response)
        order, headers = render_placement(wanted, placement, self._table)
        body = ENCODER.encode(order).encode() + b"\n"
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        headers["X-Request-Id"] = observation.end(
            environ, route=PATH, path=PATH, status=201, served_by=served_by
        )
        start_response("201 CREATED", list(headers.items()))
        return [body]

    def _is_plain(self, environ: dict[str, Any]) -> bool:
        length = environ.get("CONTENT_LENGTH", "")
        return (
            environ["PATH_INFO"] == PATH
            and environ["REQUEST_METHOD"] == "POST"
            and environ.get("CONTENT_TYPE") == "application/json"
            and LENGTH.fullmatch(length) is not None
            and int(length) <= self._largest_body
        )

    def _read(self, environ: dict[str, Any]) -> OrderRequest | None:
        observation.begin(environ)
        length = int(environ["CONTENT_LENGTH"])
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = BytesIO(body)  # for the others to read once more
        if len(body) < length:
            return None
        try:
            key, attempt = load_tags(environ, requires_key=self._settings.require_key)
            return parse_order(body, order_key=key, attempt_id=attempt)
        except RefusedError:
            return None


def _without_address(environ: dict[str, Any]) -> dict[str, Any]:
    # Flask refuses requests for a Host that is none, or for a websocket. These were not: one of
    # them may have been placed, and is to reach `shop.orders` whatever else it says.
    return {name: environ[name] for name in environ if name[:5] != "HTTP_" or name in NAMES}
