"""A client's connection to a worker: what is read from it, and until when."""

import select
import socket
import struct
import time
from contextlib import suppress
from typing import Any

from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn

# A client that is not asking yet holds a thread for so long, and a poller after that.
SILENCE_MS = 50


class FixedConfig:
    """gunicorn's configuration, each setting looked up once: a request asks for twenty."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        """Return a setting that was not asked for before."""
        value = getattr(self._config, name)
        setattr(self, name, value)
        return value


class Connection(TConn):  # type: ignore[misc]  # gunicorn is not typed
    """gunicorn's connection, for plain HTTP/1 alone, on which nobody is waited for too long.

    A thread waits for a request to be there and for its answer to be taken, and there are
    only so many: clients that stall would take /health away.
    """

    data_ready: bool

    def __init__(
        self, cfg: Any, sock: socket.socket, client: Any, server: Any, *, limit_ms: int
    ) -> None:
        super().__init__(cfg, sock, client, server)
        self._limit_s = limit_ms / 1000
        timeval = struct.pack("@ll", limit_ms // 1000, limit_ms % 1000 * 1000)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            sock.setsockopt(socket.SOL_SOCKET, option, timeval)
        self.parser = _Parser(cfg, sock, client)

    @property
    def is_cut(self) -> bool:
        """Whether something was expected and did not come: what does is not a request."""
        return bool(self.parser.unreader.is_cut)

    def expect_request(self) -> None:
        """Give the next request its time."""
        self.parser.unreader.until = time.monotonic() + self._limit_s

    def has_read_body(self) -> bool:
        """Whether nothing is left to read of the last request, which is then forgotten."""
        if self.is_cut or getattr(self.parser.mesg.body.reader, "length", None) != 0:
            return False
        self.parser.mesg = None
        return True

    def wait_for_data(self, _timeout: float) -> bool:
        """As gunicorn's, which would have a thread wait for seconds."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        if not self.data_ready:
            self.data_ready = bool(poll.poll(SILENCE_MS))
        return self.data_ready


class _Reader(SocketUnreader):  # type: ignore[misc]  # gunicorn is not typed
    """What comes from the client; from `until` on, on the monotonic clock, nothing."""

    until = 0.0
    is_cut = False

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return what comes next, empty at its end."""
        data = b""
        if time.monotonic() < self.until:
            with suppress(BlockingIOError):
                data = super().chunk(size_hint)
        self.is_cut = not data
        return data


class _Request(Request):  # type: ignore[misc]  # gunicorn is not typed
    def _peer_is_trusted_proxy(self) -> bool:
        # Nothing of the shop's depends on what a load balancer says of its clients.
        return False


class _Parser(RequestParser):  # type: ignore[misc]  # gunicorn is not typed
    mesg_class = _Request

    def __init__(self, cfg: Any, sock: socket.socket, client: Any) -> None:
        super().__init__(cfg, sock, client)
        self.unreader = _Reader(sock)
