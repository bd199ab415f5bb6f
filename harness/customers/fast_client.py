"""FastHttpUser's library (geventhttpclient), made to send once and to prove its connecting.

By itself it sends a GET again, up to eleven times, when the server closes without an answer, its
connect and read timeouts look the same, and of two replies it makes one. Locust's session around it
takes a third of a request's time for what our customers never ask for (redirects, parameters,
retries); cookies and credentials are all of it that is kept here.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from locust import FastHttpUser
from geventhttpclient.client import HTTPClient, HTTPClientPool
from geventhttpclient.header import Headers
from geventhttpclient.response import HTTPProtocolViolationError, HTTPSocketPoolResponse
from geventhttpclient.url import URL
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS, ErrorResponse, FastRequest, FastResponse

from harness.customers.exchange import Intake, Received, Request, connect_within

_FINAL = 200
# Reading less leaves the rest where asking the socket whether more has come does not find it.
_TLS_RECORD_BYTES = 16 * 1024
_is_plain = re.compile(r"(?:/[A-Za-z0-9_.~-]+)+").fullmatch


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
        self._pool = agent.clientpool = _SendOncePool(**settings)
        # Otherwise Locust decodes a 5xx's body for a log line, and loses the status if it cannot.
        agent.valid_response_codes = frozenset(range(100, 1000))  # type: ignore[misc]
        self._cookies = self._session.cookiejar
        self._go_to(self._session.base_url)
        # Spelled as ours are, so that none is said twice.
        said = {name.title(): str(value) for name, value in agent.default_headers.items()}
        if said.get("User-Agent") == HTTPClient.DEFAULT_HEADERS["User-Agent"]:
            del said["User-Agent"]  # the pool's clients say it by themselves
        self._headers = said
        if self._session.auth_header:
            self._headers["Authorization"] = self._session.auth_header

    def send(self, request: Request) -> Received:
        """Send and read."""
        if self._session.base_url is not self._base_url:
            self._go_to(self._session.base_url)
        headers = {**self._headers, **request.headers}
        if self._cookies:
            self._add_cookies(request, headers)
        target = self._target(request.path)
        client = self._pool.get_client(self._shop)
        try:
            reply = client.request(request.method, target, request.body, headers)
        except FAILURE_EXCEPTIONS as failure:
            like = self._as_locust_has_it(request, headers)
            return Received(failure=failure, response=ErrorResponse(like, cast("Any", failure)))
        response = FastResponse(reply, None, reply._sent_request)  # noqa: SLF001 -- as Locust does
        if "set-cookie" in reply:
            like = self._as_locust_has_it(request, headers)
            self._cookies.extract_cookies(cast("Any", response), like)
        status = response.status_code or None
        try:
            body = response.content or b""
        except FAILURE_EXCEPTIONS as failure:
            return Received(status=status, failure=failure, response=response)
        return Received(status=status, body=body, response=response)

    def drop(self) -> None:
        """Close all connections; the next request makes a new one."""
        self._pool.close()

    def _go_to(self, base_url: str | None) -> None:
        """Send to that shop from now on: a locustfile may change its customer's."""
        self._base_url = base_url
        self._base = (base_url or "").rstrip("/")
        self._shop = URL(self._base)
        self._prefix = self._shop.quoted_uri.rstrip("/")

    def _target(self, path: str) -> str:
        """Return what stands in the request's first line, below the shop's own path."""
        if _is_plain(path):
            return self._prefix + path
        if not path.startswith("/"):
            raise ValueError(f"{path!r} is no path of the shop: it should begin with /")
        target: str = URL(self._base + path).quoted_uri
        return target

    def _add_cookies(self, request: Request, headers: dict[str, str]) -> None:
        like = self._as_locust_has_it(request, headers)
        self._cookies.add_cookie_header(like)
        cookies = like.headers.get("cookie")
        if cookies:
            headers["Cookie"] = str(cookies)

    def _as_locust_has_it(self, request: Request, headers: dict[str, str]) -> FastRequest:
        """Return the request as a jar of cookies can read it."""
        url = self._base + request.path
        return FastRequest(url, method=request.method, headers=Headers(headers))


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
        _, *lines = self._build_request("GET", "/").splitlines()
        self.headers_said = dict(line.split(": ", 1) for line in lines if line)

    def request(
        self, method: str, request_uri: str, body: Any = b"", headers: Any = None
    ) -> HTTPSocketPoolResponse:
        payload = body.encode() if isinstance(body, str) else body or b""
        head = self._head(method.upper(), request_uri, payload, headers or {})
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

    def _head(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> str:
        """Spell a request's head; the library's way to it takes ten times as long."""
        is_ours = type(headers) is dict and self.headers_said.keys().isdisjoint(headers)
        if self.use_proxy or not is_ours:
            head: str = self._build_request(method, target, body=body, headers=headers)
            return head
        fields = {**self.headers_said, **headers}
        if body or method == "POST":
            fields["Content-Length"] = str(len(body))
        lines = [f"{name}: {value}" for name, value in fields.items()]
        head = "\r\n".join((f"{method} {target} {self.version}", *lines, "", ""))
        if head.count("\n") != len(lines) + 2 or head.count("\r") != len(lines) + 2:
            raise ValueError(f"a header of {method} {target} has a line's end in it")
        return head


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
            raise HTTPProtocolViolationError("another reply follows the reply")
        super()._on_message_begin()

    def _on_message_complete(self) -> None:
        self._is_final = self.get_code() >= _FINAL
        super()._on_message_complete()
