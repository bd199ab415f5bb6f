"""TCP ports of this machine: a free one, one that is taken, one that somebody listens on."""

import socket

from infra.lab.errors import BadSetting


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(address: str, port: int, *, timeout_s: float = 0.2) -> bool:
    """Whether a connection to that place is accepted."""
    with socket.socket() as probe:
        probe.settimeout(timeout_s)
        return probe.connect_ex((address, port)) == 0


def refuse_taken_port(port: int, variable: str) -> None:
    """BadSetting where somebody listens on it already; 0 is any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BadSetting(
                f"{variable}={port}: {error.strerror or error}; name another port, or none and any "
                "free one is taken"
            ) from None
