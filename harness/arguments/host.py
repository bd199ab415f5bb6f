"""The shop's address as it was given, and whether anybody is there."""

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import gevent
from gevent import socket

from harness.errors import BadArgument

_PORTS = {"http": 80, "https": 443}
_ASK_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where the shop listens. A password that the URL holds is not in it."""

    name: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Host":
        """Read a base URL; BadArgument, without a password, where it is none."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme)
        except ValueError:
            parts, port = urlsplit(""), None
        if not parts.hostname or port is None or parts.scheme not in _PORTS:
            raise BadArgument(
                "--host is no URL of a shop: give it as http://NAME:PORT, or with https"
            )
        return cls(name=parts.hostname, port=port)

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"

    def await_answer(self, *, timeout_s: float, within_s: float) -> None:
        """Return once somebody takes a connection, by no proxy; BadArgument if nobody has.

        A shop that is still starting has `within_s`, and one connection `timeout_s`.
        """
        give_up_at = time.monotonic() + within_s
        while True:
            try:
                socket.create_connection((self.name, self.port), timeout=timeout_s).close()
            except (OSError, UnicodeError) as error:  # the latter for what can be no name
                if time.monotonic() + _ASK_AGAIN_S < give_up_at:
                    gevent.sleep(_ASK_AGAIN_S)
                    continue
                why = f"nobody answers at {self} ({error}); is --host right, and is the shop up?"
                raise BadArgument(why) from error
            return
