"""moto's server, which answers boto3 in AWS's stead, and its records."""

import logging
from typing import Any

from moto.backends import get_backend
from moto.server import ThreadedMotoServer

from infra.lab.cloud.names import ACCOUNT, REGION


class MotoServer:
    """moto's server on a loopback port."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self.endpoint = ""

    def start(self) -> None:
        """Begin to answer; from now on `endpoint` is what AWS_ENDPOINT_URL has to be."""
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"

    def stop(self) -> None:
        """No longer answer."""
        self._server.stop()


def backend(service: str) -> Any:
    """Moto's own records of a service in the lab's account and Region."""
    # moto types each backend; a name in a variable selects among all of them.
    return get_backend(service)[ACCOUNT][REGION]  # type: ignore[call-overload]
