"""How long a database is waited for that is away: it starts up, fails over, or is out of reach."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from analysis.evidence.errors import DatabaseAway, DatabaseError

_TRY_EVERY_S = 1.0
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Up to `limit_s` after the first failure. `tell` hears each reason to wait, once."""

    limit_s: float
    tell: Callable[[str], object] = lambda _text: None

    def ask(self, read: Callable[[], Answer]) -> Answer:
        """Read, from its beginning each time, until that succeeds; DatabaseError at the limit."""
        told = ""
        give_up_at: float | None = None
        while True:
            try:
                return read()
            except DatabaseAway as error:
                now = time.monotonic()
                give_up_at = now + self.limit_s if give_up_at is None else give_up_at
                if now >= give_up_at:
                    waited = f" (waited for {self.limit_s:g} s; --database-wait S waits longer)"
                    raise DatabaseError(f"{error}{waited if self.limit_s else ''}") from None
                if str(error) != told:
                    told = str(error)
                    self.tell(f"waiting up to {self.limit_s:g} s for the database: {error}")
                time.sleep(min(_TRY_EVERY_S, give_up_at - now))


NO_PATIENCE = Patience(limit_s=0.0)
