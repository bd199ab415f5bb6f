"""The settings and the database of the app that is answering the current request."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app

from shop.database import Database
from shop.pool import Pool
from shop.settings import Settings

SETTINGS = "shop.settings"
POOL = "shop.pool"


def attach(app: Flask, *, settings: Settings, pool: Pool) -> None:
    """Make both known to the requests of `app`."""
    app.extensions[SETTINGS] = settings
    app.extensions[POOL] = pool


def settings() -> Settings:
    """Return the current app's settings."""
    return cast(Settings, current_app.extensions[SETTINGS])


def pool() -> Pool:
    """Return the current app's connections."""
    return cast(Pool, current_app.extensions[POOL])


def database() -> Database:
    """Return the current request's way to the database, whose time starts now."""
    return Database(pool(), settings())
