"""gunicorn's threaded worker, with a listener that goes away when the server is told to stop."""

from __future__ import annotations

from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """Closes its listener at the start of a shutdown and not at its end.

    As long as one worker held it, the kernel would go on accepting connections that
    nobody answers: worse for a load balancer than to be refused.
    """

    def set_accept_enabled(self, enabled: bool) -> None:
        """As gunicorn's, which calls this once more when the worker is to stop."""
        super().set_accept_enabled(enabled)
        if not self.alive:
            self._close_listeners()

    def _close_listeners(self) -> None:
        for listener in self.sockets:
            accepted = -1
            while accepted != self.nr_conns:  # those who came before are still answered
                accepted = self.nr_conns
                self.accept(listener)
            listener.close()
