"""HttpUser's library (requests), made to send once, follow nothing and prove its connecting."""

from typing import Any

import gevent
from locust import HttpUser
from locust.clients import LocustHttpAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from locustfiles._exchange import Received, Request, connect_within

__all__ = ["RequestsClient"]


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
            body = response.content if failure is None else b""
        except (Exception, gevent.Timeout) as error:  # noqa: BLE001 -- what a reply can raise is open
            failure = error
        return Received(
            status=response.status_code or None, body=body, failure=failure, response=response
        )

    def drop(self) -> None:
        """Close all connections; the next request makes a new one."""
        self._session.close()


class _Connection(HTTPConnection):
    def connect(self) -> None:
        connect_within(self.timeout or 0, super().connect)


class _SecureConnection(HTTPSConnection):
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
