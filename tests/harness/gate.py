"""A gate before moto's server that can be slow, silent or unkind, call by call, and counts."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to AWS, as it came; `service` by its signature."""

    service: str
    method: str
    path: str
    body: bytes


# A status and an error's code to answer with at once; None to pass the call on.
Answer = tuple[int, str] | None


@dataclass(slots=True)
class Gate:
    """`before` may wait, answer or let pass; `after` runs before the answer to what moto did."""

    url: str = ""
    before: Callable[[Call], Answer] = lambda _call: None
    after: Callable[[Call], None] = lambda _call: None
    calls: list[Call] = field(default_factory=list)

    def reset(self) -> None:
        """Be kind again, and forget."""
        self.before, self.after = lambda _call: None, lambda _call: None
        self.calls.clear()

    def count(self, method: str, path: str) -> int:
        """How many calls began so."""
        return sum(each.method == method and each.path.startswith(path) for each in self.calls)


def refuse(service: str, status: int, code: str) -> Callable[[Call], Answer]:
    """Answer every call to a service so."""
    return lambda call: (status, code) if call.service == service else None


@contextmanager
def serve_gate(behind: str) -> Iterator[Gate]:
    """Stand before the server at `behind`, on a free port of 127.0.0.1."""
    gate, place = Gate(), urlsplit(behind)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            signed = self.headers.get("Authorization", "").split("/")
            service = signed[3] if len(signed) > 3 else ""
            call = Call(service=service, method=self.command, path=self.path, body=body)
            gate.calls.append(call)
            refused = gate.before(call)
            if refused is not None:
                self._answer(refused[0], f'{{"message": "{refused[1]}"}}'.encode(), refused[1])
                return
            inner = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
            inner.request(self.command, self.path, body, dict(self.headers.items()))
            got = inner.getresponse()
            content, kind = got.read(), got.headers.get("Content-Type", "")
            inner.close()
            gate.after(call)
            self._answer(got.status, content, got.headers.get("x-amzn-errortype", ""), kind)

        def _answer(self, status: int, content: bytes, code: str, kind: str = "") -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Content-Type", kind or "application/json")
                if code:
                    self.send_header("x-amzn-errortype", code)
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _pass  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    gate.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield gate
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
