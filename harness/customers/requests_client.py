"""HttpUser's library (requests), made to send once, follow nothing and prove its connecting.

By itself it takes the end of a connection for the end of a header, a 103 for the reply, and lets
what follows a reply answer the next request.
"""

import http.client
from http.client import CONTINUE, OK, SWITCHING_PROTOCOLS
from io import BufferedReader
from typing import Any

import gevent
import requests
from locust import HttpUser
from locust.clients import LocustHttpAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from harness.customers.exchange import Intake, Received, Request, connect_within

_PART_BYTES = 64 * 1024


class RequestsClient:
    """The client of one HttpUser."""

    def __init__(self, user: HttpUser, *, connect_timeout_s: float, total_timeout_s: float) -> None:
        self._session = user.client
        self._timeouts = (connect_timeout_s, total_timeout_s)
        # An order goes where --host says: no proxy and no password from the environment.
        self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _SendOnceAdapter(pool_manager=None, max_retries=0))

    def send(self, request: Request) -> Received:
        """Send and read; the body apart, so that a cut one leaves the status known."""
        response = self._session.request(
            request.method,
            request.path,
            name=request.name,
            data=request.body,
            headers=dict(request.headers),
            timeout=self._timeouts,
            allow_redirects=False,
            stream=True,
            catch_response=True,
        )
        body = b""
        failure: BaseException | None = response.error
        try:
            if failure is None:
                body = _read_body(response)
                _check_end(response.raw)
        except (Exception, gevent.Timeout) as error:  # noqa: BLE001 -- what a reply can raise is open
            failure = error
        response._content = body  # noqa: SLF001 -- or listeners that ask for it meet an error
        return Received(
            status=response.status_code or None, body=body, failure=failure, response=response
        )

    def drop(self) -> None:
        """Close all connections; the next request makes a new one."""
        self._session.close()


class _WholeLines:
    """Reads a reply's head; a line that the end of the connection cut off is no line."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._intake = Intake()
        self._is_first = True

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._stream.readline(limit)
        if not line.endswith(b"\n") and (line or not self._is_first):
            raise http.client.IncompleteRead(line)
        self._is_first = False
        self._intake.take(len(line), is_head=True)
        return line

    def close(self) -> None:
        self._stream.close()


class _OneReply(http.client.HTTPResponse):
    """The final reply, whole, and whether anything followed it."""

    is_followed = False
    fp: Any

    def begin(self) -> None:
        stream = self.fp
        self.fp = _WholeLines(stream)
        try:
            super().begin()
        finally:
            if self.fp is not None:
                self.fp = stream

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        while CONTINUE < status < OK:
            if status == SWITCHING_PROTOCOLS:
                raise http.client.UnknownProtocol(reason)
            http.client.parse_headers(self.fp)
            version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, status, reason

    def _close_conn(self) -> None:
        self.is_followed = isinstance(self.fp, BufferedReader) and _has_more(self.fp)
        super()._close_conn()  # type: ignore[misc]


def _has_more(stream: BufferedReader) -> bool:
    """Whether there is more to read, without waiting for it."""
    raw: Any = stream.raw
    connection = raw._sock  # noqa: SLF001 -- it has no other door
    seconds = connection.gettimeout()
    connection.settimeout(0)
    try:
        return bool(stream.peek(1))
    except OSError:
        return False  # whoever uses the connection next finds it broken
    finally:
        connection.settimeout(seconds)


def _read_body(response: requests.Response) -> bytes:
    body, intake = bytearray(), Intake()
    for part in response.iter_content(_PART_BYTES):
        body += part
        intake.take(len(part), is_head=False)
    return bytes(body)


def _check_end(raw: Any) -> None:
    """Raise where a reply's end is not certain: it has two lengths, or something follows it."""
    if "Transfer-Encoding" in raw.headers and "Content-Length" in raw.headers:
        raise http.client.HTTPException("the reply has two lengths")
    if raw._original_response.is_followed:  # noqa: SLF001 -- urllib3 has no other door
        raise http.client.HTTPException("something follows the reply")


class _Connection(HTTPConnection):
    response_class = _OneReply

    def connect(self) -> None:
        connect_within(self.timeout or 0, super().connect)


class _SecureConnection(HTTPSConnection):
    response_class = _OneReply

    def connect(self) -> None:
        connect_within(self.timeout or 0, super().connect)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _SendOnceAdapter(LocustHttpAdapter):
    """Has connections of ours; urllib3 writes a request only after their `connect`."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
