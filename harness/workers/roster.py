"""The workers of one run as their master knows them: whose ledger is where, and who has died."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.lock import RLock
from locust.rpc import Message
from locust.runners import STATE_MISSING, STATE_RUNNING, STATE_SPAWNING, MasterRunner

from analysis.evidence.run_directory import RunDirectory
from harness.record.journal import Journal
from harness.workers.ledger_copy import LedgerCopy
from harness.workers.ledger_place import Offer
from harness.workers.worker import RECEIVED_MESSAGE, STOP_MESSAGE

_LOOK_EVERY_S = 0.2
_WAIT_EVERY_S = 0.05
_TELL_AGAIN_S = 1.0
_LATE_S = 10.0


@dataclass(slots=True, kw_only=True)
class _Worker:
    """One worker's ledger. `size` is how much of it is here, or in S3."""

    node_id: str
    name: str
    how: str
    copy: LedgerCopy | None = None
    size: int = 0
    is_closed: bool = False
    is_missing: bool = False
    progressed_at: float = field(default_factory=time.monotonic)

    @property
    def has_ended(self) -> bool:
        return self.is_closed or (self.copy is not None and self.copy.is_closed)

    @property
    def last_progress_at(self) -> float:
        return max(self.progressed_at, self.copy.progressed_at if self.copy else 0.0)


class Workers:
    """Hears the workers of one run, keeps copies of what they stream, and closes with them.

    A ledger that is not on this disk counts as incomplete, in run.json, from before its worker
    sends anything: whoever closes the evidence strikes off those that turn out to be whole.
    """

    def __init__(
        self,
        runner: MasterRunner,
        run: RunDirectory,
        journal: Journal,
        *,
        on_failure: Callable[[str], None],
    ) -> None:
        self._runner = runner
        self._run = run
        self._journal = journal
        self._on_failure = on_failure
        self._workers: dict[str, _Worker] = {}
        self._unheard: set[str] = set()
        self._written: list[str] | None = None
        self._is_left_out = False
        self._writing = RLock()
        self._watcher: gevent.Greenlet[..., None] | None = None

    def begin(self) -> Offer:
        """Get ready for their messages; returns what they need to know of the run."""
        offer = Offer.of(self._run)
        self._watcher = gevent.spawn(self._watch)  # from here on `on_connect` notes who comes in
        clients = self._runner.clients
        self._unheard = {each.id for each in (*clients.ready, *clients.running, *clients.spawning)}
        self._write_incomplete()
        self._journal.update(nonce=offer.nonce)
        return offer

    def on_connect(self, node_id: str) -> None:
        """Note a worker that comes in mid-run, before it is told to send anything."""
        if self._watcher is not None and node_id not in self._workers:
            self._unheard.add(node_id)
            self._write_incomplete()
        self._end_sharing_out()

    def _end_sharing_out(self) -> None:
        """Have Locust give users to a worker that comes in now.

        One that came before, or was not heard of for a while, had users shared out anew. Locust
        takes that for under way ever after, and gives none to whoever comes meanwhile.
        """
        dispatcher = vars(self._runner)["_users_dispatcher"]
        if dispatcher is not None and self._runner.state == STATE_RUNNING:
            vars(dispatcher)["_dispatch_in_progress"] = False
        elif dispatcher is not None and self._runner.state == STATE_SPAWNING:
            self._is_left_out = True

    def _share_out_again(self) -> None:
        """Give users to whoever came while they were being shared out, as Locust does not."""
        if self._is_left_out and self._runner.state == STATE_RUNNING:
            self._is_left_out = False
            gevent.spawn(
                self._runner.start, self._runner.target_user_count, self._runner.spawn_rate
            )

    def on_message(self, message: Message) -> None:
        """Take a worker's message about its ledger."""
        told = message.data
        if told["run_id"] != self._run.run_id or self._watcher is None:
            return
        worker = self._workers.get(message.node_id)
        if told["state"] == "failed":
            self._on_failure(told["why"])
            if worker is not None:
                worker.is_closed = True
            return
        if told["state"] == "idle":
            self._unheard.discard(message.node_id)
            return
        if worker is None:
            worker = self._open(message.node_id, told)
        if worker.copy is not None:
            worker.copy.take(told)
        match told["state"]:
            case "uploaded":
                worker.size = told["size"]
                worker.progressed_at = time.monotonic()
            case "closed" if worker.copy is None:
                worker.is_closed = True
            case "trouble":
                self._say("upload_failed", f"{worker.name}: {told['why']}")

    def close(self, *, is_deaf: bool) -> None:
        """Have every worker end its users and close its ledger, and wait for those that live.

        `is_deaf` where Locust's own greenlet for messages is the one that waits for this.
        """
        listener = gevent.spawn(self._runner.client_listener) if is_deaf else None
        try:
            self._await_ends()
        finally:
            if listener is not None:
                listener.kill()
        for worker in self._workers.values():
            if worker.copy is not None:
                worker.copy.release()
        self._write_incomplete()

    def abandon(self) -> None:
        """Stop looking after them: the run was called off before they were told of it."""
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher = None

    # --- who is there ---

    def _await_ends(self) -> None:
        since = told_at = time.monotonic()
        self._runner.send_message(STOP_MESSAGE, {"run_id": self._run.run_id})
        # Users have that time to end, and what a schedule has begun has it after them.
        limit_s = 2 * self._runner.environment.stop_timeout + _LATE_S
        while (late := self._awaited()) or self._unanswered():
            last = max([since, *(each.last_progress_at for each in late)])
            if time.monotonic() - last > limit_s:
                break
            if time.monotonic() - told_at > _TELL_AGAIN_S:
                told_at = time.monotonic()
                self._tell_again(late)
            gevent.sleep(_WAIT_EVERY_S)
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher = None
        for worker in late:
            self._say("worker_late", f"{worker.name} did not close its ledger; {_held(worker)}")

    def _tell_again(self, late: list[_Worker]) -> None:
        """Tell those to stop whom a cut wire may have kept from hearing it."""
        for node_id in (*(each.node_id for each in late), *self._unanswered()):
            about = {"run_id": self._run.run_id}
            self._runner.send_message(STOP_MESSAGE, about, client_id=node_id)

    def _awaited(self) -> list[_Worker]:
        """Return the workers whose ledger is still to be closed, the dead ones excepted."""
        return [
            each for each in self._workers.values() if not each.has_ended and not each.is_missing
        ]

    def _unanswered(self) -> list[str]:
        """Return the living who have still to say what they have, or that they have nothing."""
        clients = self._runner.clients
        return [
            each
            for each in self._unheard
            if each in clients and clients[each].state != STATE_MISSING
        ]

    def _watch(self) -> None:
        try:
            while True:
                gevent.sleep(_LOOK_EVERY_S)
                self._share_out_again()
                for worker in tuple(self._workers.values()):
                    if not worker.has_ended:
                        self._look_at(worker)
                self._write_incomplete()
        except OSError as error:
            self._on_failure(f"the run's directory cannot be written: {error.strerror}")

    def _look_at(self, worker: _Worker) -> None:
        node = self._runner.clients.get(worker.node_id)
        is_missing = node is not None and node.state == STATE_MISSING
        if is_missing and worker.how == "shared" and self._is_alive(worker):
            return  # it is silent, but it will close its ledger
        if is_missing and not worker.is_missing:
            self._say("worker_died", f"{worker.name} sends no heartbeat; {_held(worker)}")
        elif worker.is_missing and not is_missing and node is not None:
            self._say("worker_returned", f"{worker.name} was heard of again")
        worker.is_missing = is_missing or (worker.is_missing and node is None)

    def _is_alive(self, worker: _Worker) -> bool:
        return self._run.is_being_written(self._run.ledger_file(worker.name))

    # --- whose ledger is where ---

    def _open(self, node_id: str, told: Mapping[str, Any]) -> _Worker:
        """Note a worker that was not heard of before."""
        worker = _Worker(node_id=node_id, name=told["name"], how=told["how"])
        if worker.how == "streamed":
            worker.copy = LedgerCopy(
                self._run.ledger_file(worker.name),
                answer=lambda answer: self._answer(worker, answer),
                on_failure=self._on_failure,
            )
        self._workers[node_id] = worker
        if worker.how != "shared":
            self._journal.note_run(f"ledger_{worker.how}", worker.name)
        self._unheard.discard(node_id)
        return worker

    def _answer(self, worker: _Worker, answer: dict[str, Any]) -> None:
        about = {"run_id": self._run.run_id, **answer}
        self._runner.send_message(RECEIVED_MESSAGE, about, client_id=worker.node_id)

    def _write_incomplete(self) -> None:
        with self._writing:
            elsewhere = {each.name for each in self._workers.values() if each.how != "shared"}
            names = sorted(self._unheard | elsewhere)
            if names != self._written:
                self._journal.update(incomplete_ledgers=names)
                self._written = names

    def _say(self, event: str, what: str) -> None:
        sys.stderr.write(f"chaos-shop: {event.replace('_', ' ')}: {what}\n")
        try:
            self._journal.note_run(event, what)
        except OSError as error:
            sys.stderr.write(f"chaos-shop: events.csv cannot be written: {error}\n")


def _held(worker: _Worker) -> str:
    if worker.how == "shared":
        return "its ledger is on this disk, whole as far as it was written"
    where = "here" if worker.how == "streamed" else "in S3"
    size = worker.copy.size if worker.copy else worker.size
    return f"{size} bytes of its ledger are {where}, which may not be all"
