"""What can go wrong in the shop.

    ShopError
    ├── SettingsError             the environment is missing something or holds nonsense
    ├── SchemaError               the tables could not be made or are not the shop's
    ├── RefusedError              a 4xx: this request did nothing and never will
    ├── DatabaseUnavailableError  a 503: no COMMIT took effect, so nothing was changed
    │   ├── LostError             the connection or the transaction is gone: safe to do again
    │   └── BusyError             a lock or a place in the pool was not to be had in time
    └── OutcomeUnknownError       a 503: it was sent, and what became of it cannot be told

No message carries a password or the database's own words to a customer.
"""

from collections.abc import Mapping


class ShopError(Exception):
    """Anything the shop raises on purpose."""


class SettingsError(ShopError):
    """The environment is missing something or holds nonsense; one line says what to do."""


class SchemaError(ShopError):
    """The tables could not be made, or are not the shop's; one line says what to do."""


class RefusedError(ShopError):
    """The request is turned down, and the answer proves that it did nothing.

    `status` is the 4xx to answer with, `kind` one of `shop.web.problems.KINDS`; `details` are
    JSON fields beside `error`.
    """

    def __init__(
        self,
        status: int,
        error: str,
        *,
        kind: str,
        details: Mapping[str, int | str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.kind = kind
        self.details = dict(details or {})


class DatabaseUnavailableError(ShopError):
    """The database could not do the work; no COMMIT took effect, so nothing was changed."""


class LostError(DatabaseUnavailableError):
    """The connection or the transaction ended before COMMIT: doing it again is safe."""


class BusyError(DatabaseUnavailableError):
    """Somebody else held what this request needed for as long as it may wait."""


class OutcomeUnknownError(ShopError):
    """The order was sent and no server says what became of it: it may be there or not."""
