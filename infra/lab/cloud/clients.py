"""boto3's clients for the lab's account, for those who need no more of moto than its answers."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import boto3

from infra.lab.cloud.names import CREDENTIALS, REGION

# Service -> its client.
Clients = Callable[[str], Any]


def clients_of(endpoint: str, **more: Any) -> Clients:
    """Clients of the account at this endpoint, each made once; `more` is boto3's."""
    session = boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    return cache(partial(session.client, endpoint_url=endpoint, **more))
