"""boto3's clients, such that what is said to this machine itself goes past any proxy.

boto3 is imported when a client is made: it takes a quarter of a second, and most runs need none.
"""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit


def aws_clients(*services: str, region: str | None = None, **settings: Any) -> list[Any]:
    """Make boto3 clients; `settings` are botocore's Config. Raises botocore's errors.

    AWS itself is reached by the user's proxy, a lab on loopback by none. Where the client will
    call (AWS_ENDPOINT_URL, a service's own, a profile's) is known once it is made.
    """
    from urllib.request import getproxies  # noqa: PLC0415

    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    session: Any = boto3.Session(region_name=region)
    clients = [session.client(each, config=Config(**settings)) for each in services]
    if not getproxies():
        return clients
    return [
        session.client(service, config=Config(**settings, proxies={}))
        if is_loopback(client.meta.endpoint_url)
        else client
        for service, client in zip(services, clients, strict=True)
    ]


def is_loopback(url: str) -> bool:
    """Whether it names this machine by its own address."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
