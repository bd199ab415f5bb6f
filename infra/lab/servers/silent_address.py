"""An address that answers nothing, as a machine that is switched off.

Without root no packet filter can be set. A listener whose queue is full does the same: the
kernel drops every further SYN, so that a new connection hangs until its maker gives up.
"""

import contextlib
import ctypes
import logging
import os
import socket
import time

import psutil

log = logging.getLogger(__name__)

_FILL_LIMIT = 16
# What gunicorn asks for; the kernel has a lower limit of its own.
_QUEUE_LENGTH = 2048
# pidfd_getfd has this number on every architecture, and no name in Python.
_PIDFD_GETFD = 438


class SilentAddress:
    """Occupies an address and port and never accepts."""

    def __init__(self, address: str, port: int, *, limit_s: float = 20.0) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The server that was just killed may hold the port for a moment longer.
        deadline = time.monotonic() + limit_s
        while True:
            try:
                listener.bind((address, port))
                break
            except OSError:
                if time.monotonic() > deadline:
                    listener.close()
                    raise
                time.sleep(0.01)
        listener.listen(0)
        self._sockets = [listener, *_fill_queue(address, port)]

    def close(self) -> None:
        """Give the address back."""
        for each in self._sockets:
            each.close()
        self._sockets.clear()


class SilencedListener:
    """A frozen process's own listener, made a black hole until `close`.

    The kernel goes on making connections for a process that is stopped, 2048 of them: requests
    would wait there, and be served when it goes on. On a cut cable they would never have come.
    """

    def __init__(self, pid: int, address: str, port: int) -> None:
        self._listener = _borrow_listener(pid, address, port)
        self._fillers: list[socket.socket] = []
        if self._listener is not None:
            self._listener.listen(0)
            self._fillers = _fill_queue(address, port)

    def close(self) -> None:
        """Let connections be made again."""
        for each in self._fillers:
            each.close()
        if self._listener is not None:
            self._listener.listen(_QUEUE_LENGTH)
            self._listener.close()


def _borrow_listener(pid: int, address: str, port: int) -> socket.socket | None:
    """Our own handle of another process's listener; None where the system has no such thing."""
    try:
        number = next(
            each.fd
            for each in psutil.Process(pid).net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and tuple(each.laddr) == (address, port)
        )
        handle = os.pidfd_open(pid)
        try:
            got = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, handle, number, 0)
        finally:
            os.close(handle)
        if got < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return socket.socket(fileno=got)
    except (StopIteration, AttributeError, OSError, psutil.Error) as error:
        log.warning("connections to %s:%s wait instead of failing: %s", address, port, error)
        return None


def _fill_queue(address: str, port: int) -> list[socket.socket]:
    """Open connections of our own until one is no longer taken."""
    fillers: list[socket.socket] = []
    for _ in range(_FILL_LIMIT):
        filler = socket.socket()
        filler.setblocking(False)
        fillers.append(filler)
        with contextlib.suppress(BlockingIOError):
            filler.connect((address, port))
        if not _is_connected(filler):
            break
    return fillers


def _is_connected(filler: socket.socket) -> bool:
    # On loopback a connection that will be made is made at once.
    for _ in range(5):
        with contextlib.suppress(OSError):
            filler.getpeername()
            return True
        time.sleep(0.01)
    return False
