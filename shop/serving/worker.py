"""gunicorn's threaded worker, with fewer handovers, and a listener that goes when it is told to."""

import errno
import select
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker

from shop.serving.connection import Connection, FixedConfig

# How long a thread stays with a connection whose client may have more to ask. Handing the
# connection back to the main thread and being given it again costs more than Flask does.
LINGER_MS = 50


class Answer(wsgi.Response):  # type: ignore[misc]  # gunicorn is not typed
    """gunicorn's response, whose head is sent together with the beginning of its body."""

    headers_sent: bool
    head = b""
    connection: Connection

    def should_close(self) -> bool:
        """As gunicorn's, and where what comes next on the connection is not a request."""
        return self.connection.is_cut or bool(super().should_close())

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

    # Of a request and of its answer; `shop.gunicorn_conf` says how long.
    limit_ms: int

    def load_wsgi(self) -> None:
        """As gunicorn's. Whichever application it is: the lab serves any."""
        super().load_wsgi()
        self.fixed = FixedConfig(self.cfg)

    def accept(self, listener: Any) -> None:
        """As gunicorn's, with our connections."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.ECONNABORTED}:
                raise
            return
        self.nr_conns += 1
        server = listener.getsockname()
        self.enqueue_req(Connection(self.fixed, sock, client, server, limit_ms=self.limit_ms))

    def set_accept_enabled(self, enabled: bool) -> None:
        """As gunicorn's, which calls this once more when the worker is to stop."""
        super().set_accept_enabled(enabled)
        if not self.alive:
            self._close_listeners()

    def handle(self, conn: Connection) -> object:
        """As gunicorn's, and the requests that follow at once on the same connection."""
        outcome = self._handle_one(conn)
        while outcome is True and self.alive and self._is_asked_again(conn):
            outcome = self._handle_one(conn)
        return outcome

    def _handle_one(self, conn: Connection) -> object:
        conn.expect_request()
        return super().handle(conn)

    def _is_asked_again(self, conn: Connection) -> bool:
        if conn.parser.unreader.buf.getvalue():
            return False
        # Nobody may be kept waiting for a thread that itself only waits.
        if self.nr_conns - len(self.keepalived_conns) - len(self.pending_conns) > self.cfg.threads:
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(LINGER_MS))

    def handle_request(self, req: Any, conn: Connection) -> bool:
        """As gunicorn's, without what the shop has no use for.

        That is its hooks, its access log, `max_requests`, and answers that fail half way.
        """
        answer, environ = wsgi.create(
            req, conn.sock, conn.client, conn.server, conn.cfg, response_class=Answer
        )
        answer.connection = conn
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

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        # gunicorn looks for what is left of the body, which costs more than to see that it is
        # read already.
        if keepalive and conn.has_read_body():
            return True
        return bool(super()._keepalive_after(conn, keepalive)) and not conn.is_cut

    def _close_listeners(self) -> None:
        for listener in self.sockets:
            accepted = -1
            while accepted != self.nr_conns:  # those who came before are still answered
                accepted = self.nr_conns
                self.accept(listener)
            listener.close()
