"""How far a long closing has come, shown on a terminal and nowhere else."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Self, TextIO

_LOOK_EVERY_LINES = 4096
_SHOW_EVERY_S = 1.0


class Progress:
    """A line on stderr that is written over, and wiped out at the end."""

    def __init__(self, *, of_bytes: int = 0, to: TextIO | None = None) -> None:
        self._to = sys.stderr if to is None else to
        self._of_bytes = of_bytes
        self._bytes = self._lines = 0
        self._started_at = self._shown_at = time.monotonic()
        self._is_shown = False

    def watch(self, lines: Iterable[bytes]) -> Iterable[bytes]:
        """Return the lines; to be read in place of them."""
        return self._watched(lines) if self._to.isatty() else lines

    def tell(self, text: str) -> None:
        """Show a line until the next."""
        if self._to.isatty():
            self._is_shown = True
            self._to.write(f"\r{text}\x1b[K")
            self._to.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wipe the line out."""
        if self._is_shown:
            self._to.write("\r\x1b[K")
            self._to.flush()

    def _watched(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            yield line
            self._bytes += len(line)
            self._lines += 1
            if self._lines % _LOOK_EVERY_LINES == 0:
                self._look(time.monotonic())

    def _look(self, now: float) -> None:
        if now - self._shown_at < _SHOW_EVERY_S:
            return
        self._shown_at = now
        share = self._bytes / max(self._of_bytes, self._bytes, 1)
        per_second = self._lines / (now - self._started_at)
        self.tell(
            f"reading the ledgers: {self._lines:,} lines, {share:.0%}, {per_second:,.0f} a second"
        )
