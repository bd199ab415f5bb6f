"""Proxies are for what is elsewhere: what is said to this machine itself goes past them."""

from __future__ import annotations

from collections.abc import MutableMapping

# urllib and botocore compare names; they know no ranges as 127.0.0.0/8.
_HERE = ("127.0.0.1", "localhost")


def go_past_proxies(environment: MutableMapping[str, str]) -> None:
    """Have this process, and all that it starts, use no proxy for loopback."""
    for name in ("no_proxy", "NO_PROXY"):
        kept = [each.strip() for each in environment.get(name, "").split(",") if each.strip()]
        if "*" not in kept:  # it counts only where it stands alone
            environment[name] = ",".join([*kept, *(each for each in _HERE if each not in kept)])
