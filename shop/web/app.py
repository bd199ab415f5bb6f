"""The Flask application. Making it touches neither the database nor the environment."""

import json
from typing import Any

from flask import Flask, Response
from flask.json.provider import DefaultJSONProvider
from werkzeug.routing import BaseConverter

from shop.database.pool import Pool
from shop.settings import Settings
from shop.web import current
from shop.web import order_endpoints as orders
from shop.web import product_endpoints as products
from shop.web import service_endpoints as service
from shop.web.problems import register_error_answers
from shop.web.request_log import observe

LARGEST_BODY_BYTES = 16 * 1024
# Made once: json.dumps makes one for each text that is not quite plain.
ENCODER = json.JSONEncoder(separators=(",", ":"))


class RowId(BaseConverter):
    """A row's id in a path: ASCII digits, few enough for a bigint. Anything else is 404."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        """Return the id as a number."""
        return int(value)


class ShopJSON(DefaultJSONProvider):
    """JSON as the shop writes it: compact, its fields in the order in which they were written."""

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return an answer with the arguments as its body."""
        body = ENCODER.encode(self._prepare_response_obj(args, kwargs))
        return Response(f"{body}\n", mimetype=self.mimetype)


class Shop(Flask):
    """Flask with the shop's JSON."""

    json_provider_class = ShopJSON


def create_app(settings: Settings) -> Flask:
    """Make the shop as a WSGI application over the database that `settings` name.

    The tables must exist when the first request comes: see `shop.orders.schema`.
    """
    app = Shop("shop", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    # OPTIONS is not described, and nothing of the shop's is for browsers of other sites.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.converters["row_id"] = RowId
    current.attach(app, settings=settings, pool=Pool(settings))
    observe(app)
    register_error_answers(app)
    for noun in (service, products, orders):
        app.register_blueprint(noun.blueprint)
    return app
