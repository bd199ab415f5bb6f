"""boto3's clients, such that what is said to this machine itself goes past any proxy."""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies


def aws_client(session: Any, service: str, config: Any) -> Any:
    """Make a client of a boto3 session with a botocore Config.

    AWS itself is reached by the user's proxy, a lab on loopback by none. Where the client will
    call (AWS_ENDPOINT_URL, a service's own, a profile's) is known once it is made.
    """
    client = session.client(service, config=config)
    if getproxies() and is_loopback(client.meta.endpoint_url):
        without = type(config)(proxies={})
        return session.client(service, config=config.merge(without))
    return client


def is_loopback(url: str) -> bool:
    """Whether it names this machine by its own address."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
