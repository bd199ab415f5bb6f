"""gunicorn's threaded worker, with fewer handovers, and a listener that goes when it is told to."""

from __future__ import annotations

import select
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.workers.gthread import TConn, ThreadWorker

# How long a thread stays with a connection whose client may have more to ask. Handing the
# connection back to the main thread and being given it again costs more than Flask does.
LINGER_MS = 50


class Answer(wsgi.Response):  # type: ignore[misc]  # gunicorn is not typed
    """gunicorn's response, whose head is sent together with the beginning of its body."""

    headers_sent: bool
    head = b""

    def send_headers(self) -> None:
        """Keep the head until there is something of the body, or nothing is to come."""
        if not self.headers_sent:
            lines = [f"{name}: {value}\r\n" for name, value in self.headers]
            self.head = "".join([*self.default_headers(), *lines, "\r\n"]).encode("latin-1")
            self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        if self.chunked:
            data = b"%X\r\n%b\r\n" % (len(data), data)
        util.write(self.sock, self.head + data)
        self.head = b""

    def close(self) -> None:
        """As gunicorn's."""
        if not self.headers_sent:
            self.send_headers()
        if self.head:
            util.write(self.sock, self.head)
            self.head = b""
        super().close()


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """Lets a thread stay with its connection, and closes its listener first of all.

    As long as one worker held the listener, the kernel would go on accepting connections
    that nobody answers: worse for a load balancer than to be refused.
    """

    def set_accept_enabled(self, enabled: bool) -> None:
        """As gunicorn's, which calls this once more when the worker is to stop."""
        super().set_accept_enabled(enabled)
        if not self.alive:
            self._close_listeners()

    def handle(self, conn: TConn) -> object:
        """As gunicorn's, and the requests that follow at once on the same connection."""
        outcome = super().handle(conn)
        while outcome is True and self.alive and self._is_asked_again(conn):
            outcome = super().handle(conn)
        return outcome

    def _is_asked_again(self, conn: TConn) -> bool:
        if conn.is_http2 or conn.parser.unreader.buf.getvalue():
            return False
        # Nobody may be kept waiting for a thread that itself only waits.
        if self.nr_conns - len(self.keepalived_conns) - len(self.pending_conns) > self.cfg.threads:
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(LINGER_MS))

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """As gunicorn's, without what the shop has no use for.

        That is its hooks, its access log, `max_requests`, and answers that fail half way.
        """
        answer, environ = wsgi.create(
            req, conn.sock, conn.client, conn.server, self.cfg, response_class=Answer
        )
        environ["wsgi.multithread"] = True
        if not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            answer.force_close()
        chunks = self.wsgi(environ, answer.start_response)
        try:
            for chunk in chunks:
                answer.write(chunk)
            answer.close()
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        return not answer.should_close()

    def _close_listeners(self) -> None:
        for listener in self.sockets:
            accepted = -1
            while accepted != self.nr_conns:  # those who came before are still answered
                accepted = self.nr_conns
                self.accept(listener)
            listener.close()
