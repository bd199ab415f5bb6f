"""What an entry point does before the app: read the environment, prepare the database.

`python -m shop.start` prepares the database by itself, for servers other than gunicorn.
"""

import os
import sys

from shop.errors import ShopError
from shop.observation.logs import start_logging
from shop.orders.schema import prepare_database
from shop.settings import Settings, load_settings


def load_settings_or_exit() -> Settings:
    """Return the environment's settings, or exit with one line on stderr."""
    try:
        return load_settings(os.environ)
    except ShopError as error:
        sys.exit(f"shop: {error}")


def prepare_database_or_exit(settings: Settings) -> None:
    """Put tables and first stock in the database, or exit with one line on stderr."""
    try:
        prepare_database(settings)
    except ShopError as error:
        sys.exit(f"shop: {error}")


if __name__ == "__main__":
    start_logging()
    prepare_database_or_exit(load_settings_or_exit())
