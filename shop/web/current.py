"""The request that is being answered, and the settings and the database of the app that answers.

Flask's `request` and `current_app` look the current one up each time an attribute is asked
of them. Whoever asks for more than one takes it from here, once.
"""

from typing import cast

from flask import Flask, Request, current_app
from flask import request as current_request

from shop.database.pool import Pool
from shop.database.transactions import Database
from shop.settings import Settings

SETTINGS = "shop.settings"
POOL = "shop.database.pool"


def attach(app: Flask, *, settings: Settings, pool: Pool) -> None:
    """Make both known to the requests of `app`."""
    app.extensions[SETTINGS] = settings
    app.extensions[POOL] = pool


def request() -> Request:
    """Return the current request itself."""
    return current_request._get_current_object()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001


def settings() -> Settings:
    """Return the current app's settings."""
    return cast(Settings, current_app.extensions[SETTINGS])


def pool() -> Pool:
    """Return the current app's connections."""
    return cast(Pool, current_app.extensions[POOL])


def database() -> Database:
    """Return the current request's way to the database, whose time starts now."""
    things = current_app.extensions
    return Database(things[POOL], things[SETTINGS])
