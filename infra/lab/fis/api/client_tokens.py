"""Client tokens: the same request again gets the same answer, and makes nothing a second time."""

import json
from collections.abc import Mapping
from typing import Any

from infra.lab.fis.errors import Conflict


class ClientTokens:
    """What each token was used for. One of these for each API call that takes tokens."""

    def __init__(self) -> None:
        self._used: dict[str, tuple[str, str]] = {}

    def made_with(self, token: str | None, request: Mapping[str, Any]) -> str | None:
        """The id of what this token made; None if it has not been used.

        Raises:
            Conflict: it has been used, for another request.

        """
        asked, made = self._used.get(token or "", ("", None))
        if made is not None and asked != _fingerprint(request):
            raise Conflict(f"Client token {token} was used already, with other parameters.")
        return made

    def remember(self, token: str | None, request: Mapping[str, Any], made: str) -> None:
        """`token` made this, when `request` was asked."""
        if token:
            self._used[token] = (_fingerprint(request), made)

    def forget(self, made: str) -> None:
        """It is no more: its token is free."""
        self._used = {token: used for token, used in self._used.items() if used[1] != made}


def _fingerprint(request: Mapping[str, Any]) -> str:
    # What is left out and what is given as empty is the same.
    return json.dumps({key: value for key, value in request.items() if value}, sort_keys=True)
