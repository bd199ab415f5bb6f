"""The current run as the customers of this process have it: what they record in and order at.

Whoever starts a run hands it over by Locust's environment, which every user has.
"""

from collections.abc import Callable
from weakref import WeakKeyDictionary

from locust.env import Environment

from harness.arguments.arguments import Settings
from harness.demand.arrivals import Arriving, Note
from harness.demand.ordering import Desk
from harness.errors import LedgerFailed
from harness.record.journal import now
from harness.record.ledger import Ledger, LedgerKeeper, NoLedger
from harness.record.recording import Recording


class CurrentRun:
    """One run in one process: `begin` before its users start, `stop`, and `close` after them.

    What customers ask at each request is a plain attribute.
    """

    def __init__(self, settings: Settings, recording: Recording, desk: Desk, *, note: Note) -> None:
        self.settings = settings
        self.recording = recording
        self.desk = desk
        self.is_stopping = False
        self._note = note
        self._noted: set[str] = set()
        ledger = recording.ledger
        self._keeper = LedgerKeeper(ledger) if isinstance(ledger, Ledger) else None

    def begin(
        self,
        environment: Environment,
        new_customer: Callable[[Environment], Arriving],
        *,
        on_our_fault: Callable[[BaseException], None],
    ) -> None:
        """Hand it over to the users of this environment, and begin the arrivals."""
        _current_runs[environment] = self
        self.desk.start(lambda: new_customer(environment), on_our_fault=on_our_fault)

    def note_once(self, event: str, detail: str) -> None:
        """Tell people and the run's events, the first time in this run."""
        if event not in self._noted:
            self._noted.add(event)
            self._note(event, detail)

    def stop(self) -> None:
        """Let nothing begin from now on."""
        self.is_stopping = True
        self.desk.stop()

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be recorded any more."""
        return self._keeper is None

    def close(self, grace_s: float) -> int:
        """End what a schedule has begun, and close the ledger; returns when the former was done.

        `grace_s` is what such orders have from the stop on, as users have it. LedgerFailed.
        """
        self.stop()
        self.desk.close(grace_s)
        ended_at = now()
        self.recording.ledger = NoLedger()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close(at=now())
        return ended_at


_current_runs: WeakKeyDictionary[Environment, CurrentRun] = WeakKeyDictionary()


def current_run(environment: Environment) -> CurrentRun:
    """Return the run of this environment's users, the newest one; LedgerFailed before the first."""
    try:
        return _current_runs[environment]
    except KeyError:
        raise LedgerFailed("no run is on, so nothing may be ordered") from None
