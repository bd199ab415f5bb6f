"""What a worker does: it orders, keeps a ledger, and sees that the master comes to have it."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import RLock
from locust.exception import RPCError
from locust.rpc import Message
from locust.runners import STATE_INIT, STATE_RUNNING, STATE_SPAWNING, WorkerRunner

from analysis.evidence.run_directory import RunDirectory
from harness.arguments.arguments import Settings
from harness.customers.current_run import CurrentRun
from harness.errors import LedgerFailed, LoadError
from harness.record.counts_by_second import LiveCounts
from harness.record.ledger import process_id
from harness.run.exit_code import ExitCode
from harness.run.locust_process import LocustProcess, NewCustomer, guarded
from harness.workers.ledger_place import Offer, own_directory, own_name
from harness.workers.stream import Delivery, LedgerStream
from harness.workers.upload import EvidenceStore, LedgerUpload

LIVE_MESSAGE = "chaos_live"  # worker: what it has seen since the last time
NOTE_MESSAGE = "chaos_note"  # worker: something for the run's events and for people
STOP_MESSAGE = "chaos_stop"  # master: end the users and close the ledger
LEDGER_MESSAGE = "chaos_ledger"  # worker: what became of the ledger, or a piece of it
RECEIVED_MESSAGE = "chaos_received"  # master: what it has of the ledger

_STUCK_S = 15.0
_LOOK_EVERY_S = 0.2
_REPORT_EVERY_S = 0.5


class WorkerProcess(LocustProcess):
    """A worker's part in its master's runs, one after the other: it keeps a ledger, no more."""

    def __init__(
        self, runner: WorkerRunner, exit_code: ExitCode, new_customer: NewCustomer
    ) -> None:
        super().__init__(runner.environment, exit_code, new_customer)
        self._runner = runner
        self._part: WorkerPart | None = None
        self._live: LiveCounts | None = None
        self._reporter: gevent.Greenlet[..., None] | None = None
        self._ending = RLock()

    def join(self, *, forked_by: int | None) -> None:
        """Hear the master; `forked_by` is the master of --processes, with which this ends."""
        self.exit_code.of_run = 0  # requests that failed are its master's to judge
        self._runner.register_message(STOP_MESSAGE, self._on_stop, concurrent=True)
        self._runner.register_message(RECEIVED_MESSAGE, self._on_received)
        if forked_by is not None:
            gevent.spawn(self._end_with, forked_by)

    @guarded
    def on_test_start(self, **_: object) -> None:
        """Open a ledger in the master's run directory, or in a place of its own."""
        self.is_stopping = False
        if self._part is not None:
            self._part.abandon()
        offer = Offer.read(self.options.chaos_run)
        self._live = live = LiveCounts(run_id=offer.run_id)
        try:
            self._part = part = WorkerPart(self._runner, offer, Settings.from_options(self.options))
            current = self.begin_run(part.run, part.name, live, worker=self._runner.client_id)
        except LoadError as failure:
            _answer(self._runner, offer.run_id, state="failed", why=str(failure))
            raise
        part.start()
        if current.settings.faults.needs_pulse:
            self._report_often(current, live)

    @guarded
    def on_test_stop(self, **_: object) -> None:
        """Close the ledger and deliver it, once, however many want the users stopped."""
        with self._ending:
            if self.current is None or self.current.is_closed:
                return
            self.current.close(self.environment.stop_timeout)
            self._finish()

    def on_report_to_master(self, data: dict[str, Any], **_: object) -> None:
        """Tell the master what there is to see, with Locust's own statistics."""
        if self._live is not None:
            data[LIVE_MESSAGE] = self._live.report()

    def on_ledger_failed(self, failure: LedgerFailed) -> None:
        """Tell the master that the ledger cannot be written: it stops the load."""
        if self._part is not None:
            self._part.tell(state="failed", why=str(failure))

    def note(self, event: str, detail: str) -> None:
        """Have the master tell people and the run's events."""
        told = {"event": event, "detail": f"{process_id()}: {detail}"}
        self._runner.send_message(NOTE_MESSAGE, told)

    def _finish(self) -> None:
        """Send the last statistics, and deliver what is left of the ledger, which is closed."""
        report: dict[str, Any] = {}
        self.environment.events.report_to_master.fire(  # type: ignore[no-untyped-call]
            client_id=self._runner.client_id, data=report
        )
        with suppress(RPCError):  # without a connection the ledger is what counts
            self._runner.send_message("stats", report)
        if self._part is not None:
            self._part.finish()

    def _on_stop(self, msg: Message, **_: object) -> None:
        """Do as the master wants: end the users, upon which the ledger is closed."""
        run_id = msg.data["run_id"]
        if self._part is None or self._part.run_id != run_id:
            _answer(self._runner, run_id, state="idle")
        elif self._runner.state in (STATE_RUNNING, STATE_SPAWNING):
            self._runner.stop()
            # Or Locust takes the next run for more of this one, and begins nothing.
            self._runner.worker_state = STATE_INIT

    def _on_received(self, msg: Message, **_: object) -> None:
        if self._part is not None:
            self._part.received(msg.data)

    def _report_often(self, current: CurrentRun, live: LiveCounts) -> None:
        """Tell the master twice a second what there is to see, as long as the run is on."""
        if self._reporter is not None:
            self._reporter.kill()

        def report() -> None:
            while self._live is live:
                gevent.sleep(_REPORT_EVERY_S)
                if current.is_closed:
                    return
                with suppress(RPCError):
                    self._runner.send_message(LIVE_MESSAGE, live.report())

        self._reporter = gevent.spawn(report)

    def _end_with(self, master: int) -> None:
        """End when the master of --processes does; Locust would order on for a minute."""
        while os.getppid() == master:
            gevent.sleep(_LOOK_EVERY_S)
        self.end_locust()


class WorkerPart:
    """The part of one worker in one run. LoadError where its ledger can have no place."""

    def __init__(self, runner: WorkerRunner, offer: Offer, settings: Settings) -> None:
        self._runner = runner
        self._offer = offer
        self._settings = settings
        self._is_shared = settings.stream_ledger != "always" and offer.is_shared()
        self.name = process_id() if self._is_shared else own_name(offer, runner.client_id)
        self.run = RunDirectory(offer.path) if self._is_shared else own_directory(offer, self.name)
        self._delivery: Delivery = self._make_delivery(self.run.ledger_file(self.name))

    @property
    def run_id(self) -> str:
        """The run's id, as its master has it."""
        return self._offer.run_id

    def start(self) -> None:
        """Tell the master of the ledger, which is open now, and begin to deliver it."""
        self._delivery.start()

    def received(self, answer: Mapping[str, Any]) -> None:
        """Take what the master answers."""
        if answer["run_id"] == self._offer.run_id:
            self._delivery.received(answer)

    def finish(self) -> None:
        """Deliver what is left of the ledger, which is closed now."""
        self._delivery.finish()
        # Locust's own greenlet for messages may be the one that waits here: no answer would come.
        is_deaf = gevent.getcurrent() in set(self._runner.greenlet)
        if is_deaf and isinstance(self._delivery, LedgerStream):
            return
        if not self._delivery.wait(limit_s=_STUCK_S):
            sys.stderr.write(
                f"chaos-shop: the master may not have all of this worker's ledger, which is kept "
                f"in {self.run.path}\n"
            )

    def abandon(self) -> None:
        """Deliver nothing more: another run begins."""
        self._delivery.abandon()

    def tell(self, **message: object) -> bool:
        """Send the master a message about the ledger; False if there is no connection."""
        about = {"name": self.name, "how": self._delivery.how}
        return _answer(self._runner, self.run_id, **about, **message)

    def _make_delivery(self, ledger: Path) -> Delivery:
        if self._is_shared:
            return _Shared(ledger, tell=self.tell)
        if not self._settings.evidence_uri:
            return LedgerStream(ledger, tell=self.tell)
        store = EvidenceStore.connect(self._settings.evidence_uri)
        folder = f"{store.folder(self._offer.run_id)}{self.name}/"
        return LedgerUpload(ledger, store, folder=folder, tell=self.tell)


class _Shared(Delivery):
    """The master has the ledger on its own disk: it is only told."""

    how = "shared"

    def start(self) -> None:
        self._tell(state="open")

    def received(self, answer: Mapping[str, Any]) -> None:
        """Take no answer: there is none."""

    def finish(self) -> None:
        self.is_done = True
        self._tell(state="closed")


def _answer(runner: WorkerRunner, run_id: str, **message: object) -> bool:
    """Tell a worker's master something about one run; False if there is no connection."""
    try:
        runner.send_message(LEDGER_MESSAGE, {"run_id": run_id, **message})
    except RPCError:
        return False
    return True
