"""A door to PostgreSQL that speaks TLS, since the wheel's PostgreSQL is built without it.

It takes nobody who does not ask for TLS, as `rds.force_ssl` has it.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# https://www.postgresql.org/docs/current/protocol-message-formats.html
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_GSS_REQUEST = struct.pack("!ii", 8, 80877104)


@contextmanager
def tls_door(upstream: int, certificate: Path) -> Iterator[int]:
    """Listen on a port of loopback, which is yielded; `certificate` holds its key, too."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    guests: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            guests.append(threading.Thread(target=_welcome, args=(client, context, upstream)))
            guests[-1].start()

    porter = threading.Thread(target=accept)
    porter.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (porter, *guests):
            thread.join(20)


def _welcome(plain: socket.socket, context: ssl.SSLContext, upstream: int) -> None:
    with plain, suppress(OSError):
        asked = plain.recv(8)
        if asked == _GSS_REQUEST:
            plain.sendall(b"N")
            asked = plain.recv(8)
        if asked != _SSL_REQUEST:
            return
        plain.sendall(b"S")
        with (
            context.wrap_socket(plain, server_side=True) as client,
            socket.create_connection(("127.0.0.1", upstream)) as server,
        ):
            back = threading.Thread(target=_pump, args=(server, client))
            back.start()
            _pump(client, server)
            back.join(10)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
