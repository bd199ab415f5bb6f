"""The Flask application. Making it touches neither the database nor the environment."""

from flask import Flask
from werkzeug.routing import BaseConverter

from shop import current, orders, products, service
from shop.answers import register_error_answers
from shop.documents import ShopJSON
from shop.observation import observe
from shop.pool import Pool
from shop.settings import Settings

LARGEST_BODY_BYTES = 16 * 1024


class RowId(BaseConverter):
    """A row's id in a path: ASCII digits, few enough for a bigint. Anything else is 404."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        """Return the id as a number."""
        return int(value)


class Shop(Flask):
    """Flask with the shop's JSON."""

    json_provider_class = ShopJSON


def create_app(settings: Settings) -> Flask:
    """Make the shop as a WSGI application over the database that `settings` name.

    The tables must exist when the first request comes: see `shop.schema`.
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
