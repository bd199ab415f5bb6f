"""What happened around the load, written into the run as it happens."""

import time
from collections.abc import Callable
from typing import Any

import gevent

from analysis.evidence.records import Event
from analysis.evidence.run_directory import RunDirectory


def now() -> int:
    """Microseconds since the Unix epoch."""
    return time.time_ns() // 1000


class Journal:
    """The events of one run, and what its run.json knows so far.

    `on_our_fault` is told of an error that no part of the run had foreseen, `on_event` of every
    event, as soon as it is written.
    """

    def __init__(
        self,
        run: RunDirectory,
        *,
        on_our_fault: Callable[[BaseException], None],
        on_event: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        self.run = run
        self.on_our_fault = on_our_fault
        self._on_event = on_event

    def note(self, source: str, subject: str, event: str, detail: str = "") -> None:
        """Append one event that was seen now."""
        happened = Event(at=now(), source=source, subject=subject, event=event, detail=detail)
        self.run.append_event(happened)
        self._on_event(happened)

    def note_run(self, event: str, detail: str = "") -> None:
        """Append an event of the harness about the run itself."""
        self.note("harness", self.run.run_id, event, detail)

    def update(self, **fields: Any) -> None:
        """Change fields of run.json.

        In a real thread: users go on while the disk is waited for. And gevent puts off closing a
        directory until its loop has turned, which would keep the run's lock from the next update.
        """
        gevent.get_hub().threadpool.apply(self.run.update_run, kwds=fields)
