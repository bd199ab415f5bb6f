"""What can go wrong in the shop.

    ShopError
    ├── SettingsError             the environment is missing something or holds nonsense
    ├── SchemaError               the tables could not be made or are not the shop's
    ├── RefusedError              a 4xx: this request did nothing and never will
    ├── DatabaseUnavailableError  a 503: no COMMIT was sent, so nothing was changed
    └── OutcomeUnknownError       a 503: COMMIT was sent and its answer never came

No message carries a password or the database's own words to a customer.
"""

from __future__ import annotations

from collections.abc import Mapping


class ShopError(Exception):
    """Anything the shop raises on purpose."""


class SettingsError(ShopError):
    """The environment is missing something or holds nonsense; one line says what to do."""


class SchemaError(ShopError):
    """The tables could not be made, or are not the shop's; one line says what to do."""


class RefusedError(ShopError):
    """The request is turned down, and the answer proves that it did nothing.

    `status` is the 4xx to answer with; `details` are JSON fields beside `error`.
    """

    def __init__(
        self, status: int, error: str, details: Mapping[str, int | str] | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.details = dict(details or {})


class DatabaseUnavailableError(ShopError):
    """The database could not do the work; no COMMIT was sent, so nothing was changed."""


class OutcomeUnknownError(ShopError):
    """COMMIT was sent and its answer never came: the change may be there or not."""
