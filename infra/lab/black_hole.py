"""An address that answers nothing, as a machine that is switched off.

Without root no packet filter can be set. A listener whose queue is full does the same: the
kernel drops every further SYN, so that a new connection hangs until its maker gives up.
"""

from __future__ import annotations

import contextlib
import socket
import time

_FILL_LIMIT = 16


class BlackHole:
    """Occupies an address and port and never accepts."""

    def __init__(self, address: str, port: int, *, limit_s: float = 2.0) -> None:
        self._sockets: list[socket.socket] = []
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._bind(listener, address, port, limit_s)
        listener.listen(0)
        self._sockets.append(listener)
        self._fill(address, port)

    @staticmethod
    def _bind(listener: socket.socket, address: str, port: int, limit_s: float) -> None:
        # The server that was just killed may hold the port for a moment longer.
        deadline = time.monotonic() + limit_s
        while True:
            try:
                listener.bind((address, port))
            except OSError:
                if time.monotonic() > deadline:
                    listener.close()
                    raise
                time.sleep(0.01)
            else:
                return

    def _fill(self, address: str, port: int) -> None:
        """Open connections of our own until one is no longer taken."""
        for _ in range(_FILL_LIMIT):
            filler = socket.socket()
            filler.setblocking(False)
            self._sockets.append(filler)
            with contextlib.suppress(BlockingIOError):
                filler.connect((address, port))
            if not self._is_connected(filler):
                return

    @staticmethod
    def _is_connected(filler: socket.socket) -> bool:
        # On loopback a connection that will be made is made at once.
        for _ in range(5):
            with contextlib.suppress(OSError):
                filler.getpeername()
                return True
            time.sleep(0.01)
        return False

    def close(self) -> None:
        """Give the address back."""
        for each in self._sockets:
            each.close()
        self._sockets.clear()
