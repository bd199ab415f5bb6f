"""The lab's RDS Data API on a port of its own, and one that answers as AWS does on a bad day."""

import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from werkzeug.serving import make_server

from infra.lab.cloud.names import REGION
from infra.lab.database.data_api import CLUSTER_ARN, SECRET_ARN, DataApi

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def url_of(database: str = "test") -> str:
    """What DATABASE_URL is for the lab's cluster."""
    return (
        f"rds-data://{REGION}/{database}"
        f"?cluster={quote(CLUSTER_ARN, safe='')}&secret={quote(SECRET_ARN, safe='')}"
    )


@contextmanager
def served(application: Application) -> Iterator[str]:
    """Serve it on loopback; its address."""
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class BadDay:
    """Refuses calls as told, and hands all others on.

    `refuse` is asked with the number of each call (from 0), its path and what it says, and returns
    an error's code, or nothing.
    """

    def __init__(self, api: DataApi, refuse: Callable[[int, str, dict[str, Any]], str]) -> None:
        self._api = api
        self._refuse = refuse
        self.calls: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ["PATH_INFO"]
        code = self._refuse(len(self.calls), path, json.loads(body or b"{}"))
        self.calls.append(path)
        if not code:
            environ["wsgi.input"] = io.BytesIO(body)
            return self._api(environ, start_response)
        answer = json.dumps({"message": f"said on a bad day: {code}"}).encode()
        start_response(
            "400 Refused",
            [
                ("x-amzn-ErrorType", code),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(answer))),
            ],
        )
        return [answer]
