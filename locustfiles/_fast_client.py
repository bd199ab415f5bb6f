"""FastHttpUser's library (geventhttpclient), made to send once and to prove its connecting.

By itself it sends a GET again, up to eleven times, when the server closes without an answer, its
connect and read timeouts look the same, and of two replies it makes one.
"""

from functools import partial
from typing import Any

from locust import FastHttpUser
from geventhttpclient.client import HTTPClient, HTTPClientPool
from geventhttpclient.response import HTTPProtocolViolationError, HTTPSocketPoolResponse
from geventhttpclient.url import URL

from locustfiles._exchange import Intake, Received, Request, connect_within

__all__ = ["FastClient"]

_FINAL = 200
# Reading less leaves the rest where asking the socket whether more has come does not find it.
_TLS_RECORD_BYTES = 16 * 1024


class FastClient:
    """The client of one FastHttpUser."""

    def __init__(
        self, user: FastHttpUser, *, connect_timeout_s: float, total_timeout_s: float
    ) -> None:
        self._session = user.client
        agent = self._session.client
        settings = {
            **agent.clientpool.client_args,
            "connection_timeout": connect_timeout_s,
            "network_timeout": total_timeout_s,
        }
        agent.clientpool = _SendOncePool(**settings)
        # Otherwise Locust decodes a 5xx's body for a log line, and loses the status if it cannot.
        agent.valid_response_codes = frozenset(range(100, 1000))  # type: ignore[misc]

    def send(self, request: Request) -> Received:
        """Send and read."""
        response = self._session.request(
            request.method,
            request.path,
            name=request.name,
            data=request.body,
            headers=dict(request.headers),
            catch_response=True,
        )
        failure = response.request_meta["exception"]
        return Received(
            status=response.status_code or None,
            body=(response.content or b"") if failure is None else b"",
            failure=failure,
            response=response,
        )

    def drop(self) -> None:
        """Close all connections; the next request makes a new one."""
        self._session.client.clientpool.close()


class _SendOncePool(HTTPClientPool):
    """A pool whose clients never resend and whose connecting is proved."""

    def get_client(self, url: str | URL) -> HTTPClient:
        address = url if isinstance(url, URL) else URL(url)
        key = (address.host, address.port)
        client = self.clients.get(key)
        if client is None:
            client = self.clients[key] = _SendOnceClient.from_url(address, **self.client_args)
        return client


class _SendOnceClient(HTTPClient):
    """Writes a request to one socket, once; a new one is there in time or NotConnected says why."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        pool: Any = self._connection_pool
        connect = partial(connect_within, pool.connection_timeout, pool._create_socket)  # noqa: SLF001
        pool._create_socket = connect  # noqa: SLF001 -- made to be overridden

    def request(
        self, method: str, request_uri: str, body: Any = b"", headers: Any = None
    ) -> HTTPSocketPoolResponse:
        payload = body.encode() if isinstance(body, str) else body or b""
        head = self._build_request(method.upper(), request_uri, body=payload, headers=headers)
        pool = self._connection_pool
        connection = pool.get_socket()
        try:
            connection.sendall(head.encode("latin-1") + payload)
        except BaseException:
            pool.release_socket(connection)
            raise
        response = _OneReply(
            connection,
            pool,
            block_size=_TLS_RECORD_BYTES,
            method=method.upper(),
            headers_type=self.headers_type,
        )
        response._sent_request = head  # noqa: SLF001 -- Locust asks for it
        return response


class _OneReply(HTTPSocketPoolResponse):
    """A reply of a bounded length, with which nothing else may come."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self._intake = Intake()
        self._is_final = False
        super().__init__(*arguments, **settings)  # reads the head

    def feed(self, data: str | bytes) -> None:
        is_head = not self.headers_complete or self.get_code() < _FINAL
        self._intake.take(len(data), is_head=is_head)
        super().feed(data)

    def _on_message_begin(self) -> None:
        if self._is_final:
            message = "another reply follows the reply"
            raise HTTPProtocolViolationError(message)
        super()._on_message_begin()

    def _on_message_complete(self) -> None:
        self._is_final = self.get_code() >= _FINAL
        super()._on_message_complete()
