"""The settings and the database of the app that is answering the current request."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app

from shop.database import Database
from shop.settings import Settings

SETTINGS = "shop.settings"
DATABASE = "shop.database"


def attach(app: Flask, *, settings: Settings, database: Database) -> None:
    """Make both known to the requests of `app`."""
    app.extensions[SETTINGS] = settings
    app.extensions[DATABASE] = database


def settings() -> Settings:
    """Return the current app's settings."""
    return cast(Settings, current_app.extensions[SETTINGS])


def database() -> Database:
    """Return the current app's database."""
    return cast(Database, current_app.extensions[DATABASE])
