"""What a master or a Locust by itself does: it has the run, from its start to its exit code."""

import sys
from argparse import Namespace
from typing import Any

import gevent
import zmq
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner
from locust.web import WebUI

from harness.arguments.arguments import Settings
from harness.demand.plan import Plan
from harness.errors import EXIT_OUR_FAULT, EXIT_UNDECIDED, LoadError
from harness.faults.fis.dry_run import rehearse
from harness.faults.settings import FROZEN
from harness.page.page import add_chaos_page
from harness.page.runs_seen import Watch
from harness.record.counts_by_second import LiveCounts
from harness.record.journal import now
from harness.record.ledger import process_id
from harness.run.exit_code import NO_LOAD, ExitCode, end_children
from harness.run.locust_process import LocustProcess, NewCustomer, guarded
from harness.run.run import Run
from harness.run.run_time import RunClock, RunTime
from harness.workers.roster import Workers
from harness.workers.upload import EvidenceStore
from harness.workers.worker import LEDGER_MESSAGE, LIVE_MESSAGE, NOTE_MESSAGE

_LOOK_EVERY_S = 0.05


class MasterProcess(LocustProcess):
    """The runs of this process, one after the other. With workers, it has no customers itself."""

    def __init__(
        self, environment: Environment, exit_code: ExitCode, new_customer: NewCustomer
    ) -> None:
        super().__init__(environment, exit_code, new_customer)
        runner = environment.runner
        self._master = runner if isinstance(runner, MasterRunner) else None
        self._run: Run | None = None
        self._workers: Workers | None = None
        self._watch = Watch(is_shown=environment.web_ui is not None)
        self._closing: gevent.Greenlet[..., None] | None = None
        # What nobody may change from the web UI, and workers need not have.
        self._frozen: dict[str, Any] = {}
        self._run_time: RunTime | None = None
        self._has_started = False

    def join(self, web_ui: WebUI | None) -> None:
        """Hear workers, and take over what Locust would do by itself."""
        options = self.options
        if self._master is not None:
            self._master.register_message(LEDGER_MESSAGE, self.on_ledger_message)
            self._master.register_message(NOTE_MESSAGE, self.on_note_message)
            self._master.register_message(LIVE_MESSAGE, self.on_live_message)
            # A worker that comes back would be ignored until its old connection is seen to be dead.
            self._master.server.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        settings = Settings.from_options(options)
        if settings.faults.is_dry_run:
            if options.processes:
                end_children()
            code = rehearse(settings, host=options.host or "")
            self.exit_code.is_settled = True
            sys.exit(code)
        # Locust sends its options to every worker; only this process needs the secrets.
        self._frozen = {name: getattr(options, name) for name in FROZEN}
        _hide_secrets(options)
        self._run_time = RunTime(self.environment, options, web_ui)
        if web_ui is not None:
            add_chaos_page(web_ui, self._watch, base_path=options.web_base_path or "")

    # --- Locust's events ---

    @guarded
    def on_test_start(self, **_: object) -> None:
        """Get ready; no user starts before this returns."""
        self._has_started = True
        if self._run_time is None:
            raise LoadError("a test starts that Locust was not initialised for")
        clock = self._run_time.claim()
        self._leave_run_before()
        self.is_stopping = False
        try:
            self._start_run(clock)
            return
        except LoadError as error:
            self.fail(str(error), error.exit_code)
        except Exception as error:  # noqa: BLE001 -- otherwise Locust would go on without us
            self.on_our_fault(error)
            self.stop_load()
        clock.cancel()
        self._call_off()

    @guarded
    def on_spawning_complete(self, user_count: int = 0, **_: object) -> None:
        """Note that all users are there."""
        if self._run is not None:
            self._run.journal.note_run("users_spawned", f"{user_count} users")

    @guarded
    def on_test_stopping(self, **_: object) -> None:
        """Note that users are about to stop; from now on none begins anything."""
        super().on_test_stopping()
        if self._run is not None:
            self._run.stopping()
        self._watch.newest.stop()

    @guarded
    def on_test_stop(self, **_: object) -> None:
        """Users have stopped (those of workers have not yet): close the run, and judge it."""
        self.close_run()

    @guarded
    def on_quitting(self, **_: object) -> None:
        """Locust is about to end, whether or not the test has: see that the run is closed."""
        if self._run is not None:
            self._run.interrupt("SIGTERM")
            self.stop_users()
            self.close_run()
        elif self._closing is not None:
            self._closing.join()
        elif not (self.was_released or self.exit_code.failed_with) and self.is_headless:
            self.fail(NO_LOAD, EXIT_UNDECIDED)

    # --- signals and messages ---

    @guarded
    def on_interrupt(self) -> None:
        """Ctrl-C: the first ends the run in good order, another leaves it unfinished."""
        self._interrupts += 1
        run = self._run
        if run is not None and self._closing is not None:
            if self._interrupts == 1:
                sys.stderr.write("closing the evidence; Ctrl-C again leaves it unfinished\n")
            else:
                run.leave()
            return
        if self._interrupts > 1:
            return
        if run is not None:
            run.interrupt("SIGINT")
        self.end_locust()
        if self._waits_for_workers:
            sys.exit(EXIT_UNDECIDED)  # it would wait on

    @guarded
    def on_ledger_message(self, msg: Message, **_: object) -> None:
        """Take what a worker tells of its ledger, or a piece of it."""
        if self._workers is not None:
            self._workers.on_message(msg)

    @guarded
    def on_worker_connect(self, client_id: str, **_: object) -> None:
        """Note that a worker is there, perhaps in mid-run."""
        if self._workers is not None:
            self._workers.on_connect(client_id)

    def on_worker_report(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        """Hear what a worker has seen."""
        report = data.get(LIVE_MESSAGE)
        if self._run is not None and report is not None:
            self._run.fleet.take(client_id, report)

    def on_live_message(self, msg: Message, **_: object) -> None:
        """Hear the same between Locust's own statistics, where more haste is needed."""
        if self._run is not None:
            self._run.fleet.take(msg.node_id, msg.data)

    def on_note_message(self, msg: Message, **_: object) -> None:
        """Take what a worker has for the run's events and for people."""
        self.tell(msg.data["event"], msg.data["detail"])

    def tell(self, event: str, why: str) -> None:
        """Tell people, and the run if its disk still takes it."""
        super().tell(event, why)
        if event in {"run_failed", "our_fault"}:
            self._watch.fail(why)
        try:
            if self._run is not None:
                self._run.journal.note_run(event, why)
        except OSError as error:
            sys.stderr.write(f"chaos-shop: events.csv cannot be written: {error}\n")

    @property
    def _waits_for_workers(self) -> bool:
        """Whether Locust is still to start the test that it starts by itself."""
        is_automatic = self.is_headless or self.options.autostart
        return self.options.master and is_automatic and not self._has_started

    # --- a run begins ---

    def _start_run(self, clock: RunClock) -> None:
        on_event = self._watch.begin()
        options = self.options
        _hide_secrets(options)  # a form may have brought some back
        settings = Settings.from_options(Namespace(**{**vars(options), **self._frozen}))
        self.exit_code.begin_run()
        self._run = run = Run.create(self.environment, settings, clock, self.on_our_fault, on_event)
        self._watch.prepared(run)
        run.prepare()
        self._share_out(run)
        live = None
        if self._master is not None:
            self._begin_workers(self._master, run)
        else:
            if self._watch.is_shown or settings.faults.needs_pulse:
                live = LiveCounts(run_id=run.directory.run_id)
            self.begin_run(run.directory, process_id(), live)
        run.on_abort = self.stop_load
        run.release(live)
        self._watch.newest.release()
        self.was_released = True

    def _share_out(self, run: Run) -> None:
        """Plan which process has which part of the orders."""
        workers = []
        if self._master is not None:
            # Those whom Locust will tell to start.
            clients = self._master.clients
            nodes = clients.ready + clients.running + clients.spawning
            workers = sorted((node.id for node in nodes), key=self._master.get_worker_index)
        plan = Plan.make(run_time_s=self.options.run_time or None, workers=workers)
        run.settings.orders.check(run_time_s=plan.run_time_s, parts=plan.parts)
        run.journal.update(plan={"seed": plan.seed, "processes": plan.parts})
        plan.put_into(self.options)

    def _begin_workers(self, runner: MasterRunner, run: Run) -> None:
        """Get ready for the workers, and tell them of the run when they are started."""
        if run.settings.evidence_uri:
            EvidenceStore.connect(run.settings.evidence_uri).check(run.directory.run_id)
        self._workers = Workers(
            runner,
            run.directory,
            run.journal,
            on_failure=lambda why: self.fail(why, EXIT_OUR_FAULT),
        )
        self.options.chaos_run = self._workers.begin().as_message()

    # --- a run that has had no user ---

    def _leave_run_before(self) -> None:
        """Wait for a run that is being stopped; call one off that had no user.

        Locust's web UI lets people start while users stop, and start again while a start is under
        way: it kills that one, without a word to us.
        """
        while self.is_stopping and self._run is not None:
            gevent.sleep(_LOOK_EVERY_S)
        if self._closing is not None:
            self._closing.join()
        if self._run is not None:
            self.tell("run_called_off", f"{self._run.name} was called off: started once more")
            self._give_up()
        self._closing = None

    def _call_off(self) -> None:
        """Give up a run that has had no user; Locust lets no other error keep users away."""
        self._give_up()
        raise gevent.GreenletExit

    def _give_up(self) -> None:
        run, self._run = self._run, None
        # In a greenlet of its own, since the users are being stopped, and this greenlet with them.
        self._closing = gevent.spawn(self._undo, run, self._workers)
        self._closing.join()

    def _undo(self, run: Run | None, workers: Workers | None) -> None:
        try:
            if workers is not None:
                workers.abandon()
            if self.current is not None:  # its arrivals would order on, for a run that is none
                self.current.close(0)
            if run is not None:
                run.call_off()
        except (LoadError, OSError) as error:
            sys.stderr.write(f"chaos-shop: {error}\n")
        finally:
            self._workers = self.current = None
            self._watch.newest.finish(is_over=False)

    # --- a run ends ---

    def close_run(self) -> None:
        """Close the run in a greenlet of its own: whoever waits here may be killed."""
        if self._run is None:
            return
        if self._closing is None:
            # Locust may call from its own greenlet for messages, which then hears no worker.
            is_deaf = self._master is not None and gevent.getcurrent() in set(self._master.greenlet)
            self._closing = gevent.spawn(self._close, self._run, is_deaf=is_deaf)
        self._closing.join()

    def _close(self, run: Run, *, is_deaf: bool) -> None:
        try:
            if self._workers is not None:
                self._workers.close(is_deaf=is_deaf)
            ended_at = now()
            if self.current is not None:
                ended_at = self.current.close(self.environment.stop_timeout)
            self._watch.newest.close()
            code = run.close(ended_at)
            self.result = run.result
            self.exit_code.of_run = code
        except LoadError as error:
            self.fail(str(error), error.exit_code)
        except Exception as error:  # noqa: BLE001 -- the outermost frame that is ours
            self.on_our_fault(error)
        finally:
            self._run = self._workers = self.current = None
            self._watch.newest.finish(is_over=True)
            if is_deaf:  # the last worker is gone, and Locust would go on without any
                self.stop_load()


def _hide_secrets(options: Namespace) -> None:
    """Keep secrets and commands from workers, who need none of them."""
    options.database_url = options.fault_command = options.heal_command = ""
