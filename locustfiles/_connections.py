"""How users connect: each request is sent once, and a failure to connect says that it is one.

geventhttpclient sends a GET again, up to eleven times, when the server closes without an answer,
and its connect and read timeouts look the same. Both would make the ledger say less than is known.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import gevent
from locust import FastHttpUser
from geventhttpclient.client import HTTPClient, HTTPClientPool
from geventhttpclient.url import URL

from locustfiles._errors import NotConnected
from locustfiles._outcome import connect_token

__all__ = ["connect_once", "drop_connections"]

Socket = TypeVar("Socket")


def connect_once(user: FastHttpUser) -> None:
    """Make a user's client send each request once, and tell every status from an error."""
    agent = user.client.client
    agent.clientpool = _SendOncePool(**agent.clientpool.client_args)
    # Otherwise Locust decodes a 5xx's body for a log line, and loses the status if it cannot.
    agent.valid_response_codes = frozenset(range(100, 1000))  # type: ignore[misc]


def drop_connections(user: FastHttpUser) -> None:
    """Close a user's connections: the next request makes a new one."""
    user.client.client.clientpool.close()


class _SendOncePool(HTTPClientPool):
    """A pool whose clients never resend and whose connecting is proved."""

    def get_client(self, url: str | URL) -> HTTPClient:
        address = url if isinstance(url, URL) else URL(url)
        is_new = (address.host, address.port) not in self.clients
        client = super().get_client(address)
        if is_new:
            connections: Any = client._connection_pool  # noqa: SLF001 -- it has no other door
            connections.size = -1  # a request is tried again `size + 1` times
            connections._create_socket = _proved(  # noqa: SLF001
                connections._create_socket,  # noqa: SLF001
                connections.connection_timeout,
            )
        return client


def _proved(connect: Callable[[], Socket], seconds: float) -> Callable[[], Socket]:
    """Let `connect` take `seconds` in all, addresses and TLS included, or raise NotConnected.

    geventhttpclient writes a request only to a socket that this function has returned.
    """

    def connect_in_time() -> Socket:
        limit = gevent.Timeout(seconds)
        limit.start()
        try:
            return connect()
        except gevent.Timeout as timeout:
            if timeout is not limit:
                raise
            message = f"no connection within {seconds:g} s"
            raise NotConnected("connect_timeout", message) from timeout
        except (OSError, RuntimeError) as error:
            raise NotConnected(connect_token(error), str(error)) from error
        finally:
            limit.close()

    return connect_in_time
