"""The database's writer: it goes, nobody is let in for a while, and it comes back."""

from collections.abc import Callable

from infra.lab.database.postgres import Postgres

# A shutdown that takes longer is cut short.
_PATIENCE_S = 60.0
_RETRY_S = 0.5


class Writer:
    """The one database server, on the supervisor's clock. Times in seconds."""

    def __init__(self, server: Postgres, *, away_s: float, now: Callable[[], float]) -> None:
        self._server = server
        self._away_s = away_s
        self._now = now
        self._leaving_until: float | None = None
        self._back_at: float | None = None
        self._is_starting = False
        self._doing = "available"

    @property
    def status(self) -> str:
        """`available`, `failing-over` or `rebooting`, until it is back."""
        return "available" if self.is_available() else self._doing

    def fail_over(self) -> None:
        """Die in the middle of everything: sessions break, and what was not on disk is lost."""
        self._leave(self._server.crash, "failing-over")

    def reboot(self) -> None:
        """Shut down in good order: sessions are ended, and what was committed is kept."""
        self._leave(self._server.shut_down, "rebooting")

    def is_available(self) -> bool:
        """Whether it is there, and not on its way out or back."""
        return self._leaving_until is None and self._back_at is None and not self._is_starting

    def tick(self) -> None:
        """Go on where something is due."""
        now = self._now()
        if self._leaving_until is not None:
            if not self._server.is_alive():
                self._leaving_until = None
                self._server.clear_away()
                self._back_at = now + self._away_s
            elif now > self._leaving_until:
                self._server.crash()
        elif self._back_at is not None and now >= self._back_at:
            self._back_at = None
            self._is_starting = True
            self._server.launch()
        elif self._is_starting:
            self._see_whether_it_is_back(now)

    def _see_whether_it_is_back(self, now: float) -> None:
        if not self._server.is_alive():  # somebody had its port meanwhile: try again
            self._server.clear_away()
            self._is_starting = False
            self._back_at = now + _RETRY_S
        elif self._server.is_ready():
            self._is_starting = False

    def _leave(self, how: Callable[[], None], doing: str) -> None:
        if self._leaving_until is None and self._back_at is None:
            self._doing = doing
            self._is_starting = False
            self._leaving_until = self._now() + _PATIENCE_S
            how()
