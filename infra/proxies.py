"""Proxies are for what is elsewhere: what is said to this machine itself goes past them."""

from collections.abc import MutableMapping

# urllib and botocore compare names; they know no ranges as 127.0.0.0/8.
_HERE = ("127.0.0.1", "localhost")


def go_past_proxies(environment: MutableMapping[str, str]) -> None:
    """Have this process, and all that it starts, use no proxy for loopback."""
    # Programs differ in which of the two they read first.
    names = ("no_proxy", "NO_PROXY")
    told = ",".join(environment.get(name, "") for name in names).split(",")
    kept = dict.fromkeys(each.strip() for each in told if each.strip())
    everything = "*" in kept  # it counts only where it stands alone
    for name in names:
        environment[name] = "*" if everything else ",".join({**kept, **dict.fromkeys(_HERE)})
