"""One Locust process between Locust's events and our run: listeners, signals, exit code.

A worker keeps a ledger and nothing else. The master, or a Locust by itself, also has the run.
Importing this module registers the listeners, once per process.
"""

import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from typing import Any, NoReturn

import gevent
import zmq
from locust import events
from gevent.lock import RLock
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.event import EventHook
from locust.exception import RPCError
from locust.rpc import Message
from locust.runners import (
    MasterRunner,
    Runner,
    WorkerRunner,
)
from locust.web import WebUI

from analysis.evidence.records import Event
from analysis.evidence.run_directory import RunDirectory
from harness.arguments.arguments import Settings, add_arguments
from harness.arguments.check import check_options
from harness.demand.arrivals import Arriving
from harness.demand.ordering import Desk
from harness.demand.plan import Plan
from harness.errors import (
    EXIT_OUR_FAULT,
    EXIT_UNDECIDED,
    EXIT_USAGE,
    BadArgument,
    LedgerFailed,
    LoadError,
)
from harness.faults.dry_run import rehearse
from harness.faults.settings import FROZEN
from harness.page.page import add_chaos_page
from harness.page.runs_seen import Watch, WatchedRun
from harness.record.journal import now
from harness.record.ledger import Ledger, LedgerKeeper, NoLedger, process_id
from harness.record.live import LiveCounts
from harness.run.ending import await_end_of, end_children, end_web_ui, stop_users
from harness.run.exit_code import NO_LOAD, ExitCode
from harness.run.run import Run
from harness.run.run_time import RunClock, RunTime
from harness.run.stdout import KeptStdout
from harness.workers.ledger_place import Offer
from harness.workers.roster import Workers
from harness.workers.upload import EvidenceStore
from harness.workers.worker import LEDGER_MESSAGE, WorkerSide

__all__ = ["process"]

logger = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.05
_REPORT_EVERY_S = 0.5
LIVE_MESSAGE = "chaos_live"  # worker: what it has seen since the last time
# It tells of every endpoint and credential that it finds.
logging.getLogger("botocore").setLevel(logging.WARNING)


def _guarded(listener: Callable[..., None]) -> Callable[..., None]:
    """End the process with a line and an exit code where Locust would log and go on."""

    @wraps(listener)
    def guarded(self: "LoadProcess", *arguments: Any, **facts: Any) -> None:
        try:
            listener(self, *arguments, **facts)
        except LoadError as error:
            self.fail(str(error), error.exit_code)
        except Exception as error:  # noqa: BLE001 -- the outermost frame that is ours
            self.on_our_fault(error)
            self.stop_load()

    return guarded


class LoadProcess:
    """The part in the load of this process. There is one, `process`."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.is_stopping = False
        self._environment: Environment | None = None
        self.new_customer: Callable[[Environment], Arriving] | None = None
        # Of the run that is on: no property, since it is asked at each request.
        self.ledger: Ledger | NoLedger = NoLedger()
        self._keeper: LedgerKeeper | None = None
        self._desk: Desk | None = None
        self._run: Run | None = None
        self._closing: gevent.Greenlet[..., None] | None = None
        self._ending = RLock()
        self._worker: WorkerSide | None = None
        self._workers: Workers | None = None
        # What nobody may change from the web UI, and workers need not have.
        self._frozen: dict[str, Any] = {}
        self._reporter: gevent.Greenlet[..., None] | None = None
        self._exit_code = ExitCode()
        self._stdout: KeptStdout | None = None
        self._run_time: RunTime | None = None
        self._has_started = False
        self._interrupts = 0
        self._result = ""
        self._was_released = False
        self._noted: set[str] = set()
        # Of the run that is on, where there is a page to show it: here, or at the master.
        self.live: LiveCounts | None = None
        self._watch: Watch | None = None
        self._is_checked = False
        self.only_checks = False  # the command line is looked at, and no Locust is to be
        # Locust imports us and then makes workers by forking: by now their master may be dead.
        self._imported_by = os.getpid()

    @property
    def desk(self) -> Desk:
        """Where the run that is on orders; LedgerFailed between runs."""
        if self._desk is None:
            message = "no run is on, so nothing may be ordered"
            raise LedgerFailed(message)
        return self._desk

    # --- Locust's events ---

    def on_parser(self, parser: LocustArgumentParser, **_: object) -> None:
        """Add our arguments, and check all as soon as they are read: nothing has begun then."""
        add_arguments(parser)
        read = parser.parse_args

        def read_and_check(*arguments: Any, **more: Any) -> Namespace:
            options: Namespace = read(*arguments, **more)
            # Locust's page has them read again, when the run's directory is there.
            if not self._is_checked:
                self._is_checked = True
                self._take(options)
            return options

        parser.parse_args = read_and_check

    def on_init(
        self, environment: Environment, runner: Runner, web_ui: WebUI | None, **_: object
    ) -> None:
        """Listen to signals and workers, and take over what Locust would do by itself."""
        try:
            self._join(environment, runner, web_ui)
        except Exception as error:
            self.on_our_fault(error)
            raise  # it ends Locust

    def _join(self, environment: Environment, runner: Runner, web_ui: WebUI | None) -> None:
        self._environment = environment
        self._exit_code.guard(environment)
        self._exit_code.is_ready = True
        gevent.signal_handler(signal.SIGINT, self.on_interrupt)
        if isinstance(runner, WorkerRunner):
            self._worker = WorkerSide(runner)
            self._exit_code.of_run = 0  # requests that failed are its master's to judge
            _listen(environment.events.report_to_master, self.on_report_to_master)
            if self._options.processes:
                gevent.spawn(self._end_with, self._imported_by)
            return
        if isinstance(runner, MasterRunner):
            runner.register_message(LEDGER_MESSAGE, self.on_ledger_message)
            runner.register_message("chaos_note", self.on_note_message)
            runner.register_message(LIVE_MESSAGE, self.on_live_message)
            _listen(environment.events.worker_report, self.on_worker_report)
            _listen(environment.events.worker_connect, self.on_worker_connect)
            # A worker that comes back would be ignored until its old connection is seen to be dead.
            runner.server.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        settings = Settings.from_options(self._options)
        if settings.faults.is_dry_run:
            if self._options.processes:
                end_children()
            code = rehearse(settings, host=self._options.host or "")
            self._exit_code.is_settled = True
            sys.exit(code)
        # Locust sends its options to every worker; only this process needs the secrets.
        self._frozen = {name: getattr(self._options, name) for name in FROZEN}
        self._hide_frozen(self._options)
        self._run_time = RunTime(environment, self._options, web_ui)
        if web_ui is not None:
            self._watch = Watch()
            add_chaos_page(web_ui, self._watch, base_path=self._options.web_base_path or "")
        # Registered last and fired in reverse: before the master's own listener ends the test.
        _listen(environment.events.quitting, self.on_quitting)

    @_guarded
    def on_test_start(self, environment: Environment, **_: object) -> None:
        """Get ready; no user starts before this returns."""
        self._noted.clear()
        if self._worker is not None:
            self.is_stopping = False
            self.live = LiveCounts(run_id=Offer.read(self._options.chaos_run).run_id)
            self._worker.begin(self._options, self._open_ledger)
            if self.settings is not None and self.settings.faults.needs_pulse:
                self._report_often(self.live)
            return
        self._has_started = True
        clock = self._claim_clock()
        self._leave_run_before()
        self.is_stopping = False
        self._start_run(environment, clock)

    @_guarded
    def on_spawning_complete(self, user_count: int, **_: object) -> None:
        """Note that all users are there."""
        if self._run is not None:
            self._run.journal.note_run("users_spawned", f"{user_count} users")

    @_guarded
    def on_test_stopping(self, **_: object) -> None:
        """Note that users are about to stop; from now on none begins anything."""
        self.is_stopping = True
        if self._desk is not None:
            self._desk.stop()
        if self._run is not None:
            self._run.stopping()
        if self._newest is not None:
            self._newest.stop()

    @_guarded
    def on_test_stop(self, **_: object) -> None:
        """Users have stopped (a master's have not yet): close what they wrote, and judge it."""
        if self._worker is not None:
            self._close_part(self._worker)
        else:
            self._close_run()

    @_guarded
    def on_quitting(self, **_: object) -> None:
        """Locust is about to end, whether or not the test has: see that the run is closed."""
        if self._run is not None:
            self._run.interrupt("SIGTERM")
            self._stop_users()
            self._close_run()
        elif self._closing is not None:
            self._closing.join()
        elif not (self._was_released or self._exit_code.failed_with) and self._is_headless():
            self.fail(NO_LOAD, EXIT_UNDECIDED)

    def on_quitting_last(self, **_: object) -> None:
        """Everybody's listeners are done: what Locust prints now is its own."""
        if self._worker is not None:
            # Sent by the master, whose file it would be; a worker's own statistics are empty.
            self._options.json, self._options.json_file = False, None
        elif self._stdout is not None:
            self._stdout.give_back()
        if self._exit_code.failed_with and not self._was_released:
            # Empty tables would be below the line that says why there was no load.
            logging.getLogger("locust.stats_logger").disabled = True

    def on_quit(self, **_: object) -> None:
        """Locust has printed its statistics: the verdict is the last that people read."""
        self._exit_code.is_settled = True
        if self._stdout is not None:
            self._stdout.take()
        result, self._result = self._result, ""
        print(result, end="", flush=True)

    # --- signals and messages ---

    @_guarded
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
        self._end_locust()
        if self._waits_for_workers:
            sys.exit(EXIT_UNDECIDED)  # it would wait on

    @_guarded
    def on_ledger_message(self, msg: Message, **_: object) -> None:
        """Master: a worker tells of its ledger, or sends a piece of it."""
        if self._workers is not None:
            self._workers.on_message(msg)

    @_guarded
    def on_worker_connect(self, client_id: str, **_: object) -> None:
        """Master: a worker is there, perhaps in mid-run."""
        if self._workers is not None:
            self._workers.on_connect(client_id)

    def on_report_to_master(self, data: dict[str, Any], **_: object) -> None:
        """Worker: tell the master what there is to see, with Locust's own statistics."""
        if self.live is not None:
            data["chaos_live"] = self.live.report()

    def on_worker_report(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        """Master: hear what a worker has seen."""
        report = data.get("chaos_live")
        if self._run is not None and report is not None:
            self._run.fleet.take(client_id, report)

    def on_live_message(self, msg: Message, **_: object) -> None:
        """Master: hear the same between Locust's own statistics, where more haste is needed."""
        if self._run is not None:
            self._run.fleet.take(msg.node_id, msg.data)

    def on_note_message(self, msg: Message, **_: object) -> None:
        """Master: a worker has something for the run's events and for people."""
        self._tell(msg.data["event"], msg.data["detail"])

    # --- what goes wrong ---

    def fail(self, why: str, exit_code: int) -> None:
        """Say what went wrong, remember the exit code, and stop the load. The evidence stays."""
        self._remember(exit_code)
        self.stop_load()
        self._tell("run_failed", why)

    def on_our_fault(self, error: BaseException) -> None:
        """Note an error that is a fault of ours; the run's exit code will be 70."""
        why = f"a fault of ours: {type(error).__name__}: {error}"
        logger.debug("unforeseen", exc_info=error)
        self._remember(EXIT_OUR_FAULT)
        self._tell("our_fault", why)

    def on_ledger_failed(self, failure: LedgerFailed) -> None:
        """Stop the load: no attempt is sent that cannot be recorded."""
        if self._worker is not None:
            self._worker.failed(str(failure))
        else:
            self.fail(str(failure), failure.exit_code)

    def stop_load(self) -> None:
        """Stop the users, and Locust too where nobody sits at its web UI."""
        if self._is_headless():
            gevent.spawn(self._end_locust)
        else:
            gevent.spawn(self._stop_users)

    def note(self, event: str, detail: str) -> None:
        """Tell people and the run's events, by way of the master where there is one."""
        runner = self._environment.runner if self._environment else None
        if isinstance(runner, WorkerRunner):
            told = {"event": event, "detail": f"{process_id()}: {detail}"}
            runner.send_message("chaos_note", told)
        else:
            self._tell(event, detail)

    def note_once(self, event: str, detail: str) -> None:
        """Tell it as `note` does, the first time in a run."""
        if event not in self._noted:
            self._noted.add(event)
            self.note(event, detail)

    def _is_headless(self) -> bool:
        return self._environment is not None and self._environment.web_ui is None

    def _tell(self, event: str, why: str) -> None:
        """Tell people, and the run if its disk still takes it."""
        sys.stderr.write(f"chaos-shop: {why}\n")
        if self._watch is not None and event in {"run_failed", "our_fault"}:
            self._watch.fail(why)
        try:
            if self._run is not None:
                self._run.journal.note_run(event, why)
        except OSError as error:
            sys.stderr.write(f"chaos-shop: events.csv cannot be written: {error}\n")

    # --- a run's life ---

    @property
    def _newest(self) -> WatchedRun | None:
        return self._watch.newest if self._watch is not None else None

    @property
    def _options(self) -> Namespace:
        options = self._environment.parsed_options if self._environment else None
        if not isinstance(options, Namespace):
            message = "Locust has parsed no options"
            raise LoadError(message)
        return options

    def _take(self, options: Namespace) -> None:
        """Check the options; from now on Locust's own codes say nothing, nor its stdout."""
        try:
            is_run = check_options(options) is not None
        except BadArgument as error:
            sys.stderr.write(f"chaos-shop: {error}\n")
            sys.exit(EXIT_USAGE)
        if is_run and not self.only_checks:
            self._exit_code.watch(has_workers=bool(options.processes))
            if options.json:
                self._stdout = KeptStdout()

    def _hide_frozen(self, options: Namespace) -> None:
        """Keep secrets and commands from workers, who need none of them."""
        options.database_url = options.fault_command = options.heal_command = ""

    def _thaw(self, options: Namespace) -> Namespace:
        """Return the options with those that no form may change as they were given."""
        return Namespace(**{**vars(options), **self._frozen})

    @property
    def _waits_for_workers(self) -> bool:
        """Whether Locust is still to start the test that it starts by itself."""
        is_automatic = self._is_headless() or self._options.autostart
        return self._options.master and is_automatic and not self._has_started

    def _claim_clock(self) -> RunClock:
        if self._run_time is None:
            message = "a test starts that Locust was not initialised for"
            raise LoadError(message)
        return self._run_time.claim()

    def _start_run(self, environment: Environment, clock: RunClock) -> None:
        try:
            on_event = _nothing if self._watch is None else self._watch.begin()
            self._hide_frozen(self._options)  # a form may have brought some back
            self.settings = Settings.from_options(self._thaw(self._options))
            self._exit_code.begin_run()
            self._run = run = Run.create(
                environment, self.settings, clock, self.on_our_fault, on_event
            )
            if self._watch is not None:
                self._watch.prepared(run)
            run.prepare()
            self._share_out(environment)
            if isinstance(environment.runner, MasterRunner):
                self._begin_workers(environment.runner, run)
            else:
                self.live = None
                if self._watch is not None or self.settings.faults.needs_pulse:
                    self.live = LiveCounts(run_id=run.directory.run_id)
                self._open_ledger(run.directory, process_id())
            run.on_abort = self.stop_load
            run.release(None if isinstance(environment.runner, MasterRunner) else self.live)
            if self._newest is not None:
                self._newest.release(self.live)
            self._was_released = True
        except LoadError as error:
            self.fail(str(error), error.exit_code)
            clock.cancel()
            self._call_off()
        except Exception as error:  # noqa: BLE001 -- otherwise Locust would go on without us
            self.on_our_fault(error)
            self.stop_load()
            clock.cancel()
            self._call_off()

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
            self._tell("run_called_off", f"{self._run.name} was called off: started once more")
            self._give_up()
        self._closing = None

    def _call_off(self) -> NoReturn:
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
            if self._desk is not None:  # its arrivals would order on, for a run that is none
                self._desk.close(0)
                self._desk = None
            self._close_ledger()
            if run is not None:
                run.call_off()
        except (LoadError, OSError) as error:
            sys.stderr.write(f"chaos-shop: {error}\n")
        finally:
            self._workers = None
            if self._newest is not None:
                self._newest.finish(is_over=False)

    def _begin_workers(self, runner: MasterRunner, run: Run) -> None:
        """Master: get ready for the workers, and tell them of the run when they are started."""
        if run.settings.evidence_uri:
            EvidenceStore.connect(run.settings.evidence_uri).check(run.directory.run_id)
        self._workers = Workers(runner, run.directory, run.journal, on_failure=self._workers_failed)
        self._options.chaos_run = self._workers.begin().as_message()

    def _report_often(self, live: LiveCounts) -> None:
        """Worker: tell the master once a second what there is to see, as long as the run is on."""
        runner = self._environment.runner if self._environment else None
        if self._reporter is not None:
            self._reporter.kill()

        def report() -> None:
            while isinstance(runner, WorkerRunner) and self.live is live:
                gevent.sleep(_REPORT_EVERY_S)
                if self._keeper is None:
                    return
                with suppress(RPCError):
                    runner.send_message(LIVE_MESSAGE, live.report())

        self._reporter = gevent.spawn(report)

    def _workers_failed(self, why: str) -> None:
        self.fail(why, EXIT_OUR_FAULT)

    def _open_ledger(self, run: RunDirectory, name: str) -> None:
        self.settings = Settings.from_options(self._options)
        ledger = self.ledger = Ledger(
            run.ledger_file(name),
            process_id=name,
            at=now(),
            on_failure=self.on_ledger_failed,
            on_slow=partial(self.note, "ledger_sync_slow"),
        )
        self._keeper = LedgerKeeper(ledger)
        self._start_desk()

    def _share_out(self, environment: Environment) -> None:
        """Plan which process has which part of the orders."""
        runner = environment.runner
        workers = []
        if isinstance(runner, MasterRunner):
            # Those whom Locust will tell to start.
            nodes = runner.clients.ready + runner.clients.running + runner.clients.spawning
            workers = sorted((node.id for node in nodes), key=runner.get_worker_index)
        plan = Plan.make(run_time_s=self._options.run_time or None, workers=workers)
        if self.settings is not None:
            self.settings.orders.check(run_time_s=plan.run_time_s, parts=plan.parts)
        if self._run is not None:
            self._run.journal.update(plan={"seed": plan.seed, "processes": plan.parts})
        plan.put_into(self._options)

    def _start_desk(self) -> None:
        """Open what customers order at, and begin the arrivals: the ledger is ready for them."""
        settings, environment = self.settings, self._environment
        new_customer = self.new_customer
        if settings is None or environment is None or new_customer is None:
            message = "customers are to order, and no locustfile imports our Customer"
            raise LoadError(message)
        runner = environment.runner
        plan = Plan.from_options(self._options)
        part = plan.part_of(runner.client_id if isinstance(runner, WorkerRunner) else None)
        self._desk = Desk(settings.orders, plan, part, note=self.note)
        self._desk.start(lambda: new_customer(environment), on_our_fault=self.on_our_fault)

    def _close_desk(self) -> None:
        """End what a schedule has begun, within the time that users have for it too."""
        desk, environment = self._desk, self._environment
        if desk is not None and environment is not None:
            desk.close(environment.stop_timeout)
            self._desk = None

    def _close_ledger(self) -> None:
        self.ledger = NoLedger()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close(at=now())

    def _close_part(self, worker: WorkerSide) -> None:
        """Worker: close its ledger and deliver it, once, however many want the users stopped."""
        with self._ending:
            if self._keeper is None:
                return
            self._close_desk()
            self._close_ledger()
            worker.finish()

    def _close_run(self) -> None:
        """Close the run in a greenlet of its own: whoever waits here may be killed."""
        if self._run is None:
            return
        if self._closing is None:
            runner = self._environment.runner if self._environment else None
            # Locust may call from its own greenlet for messages, which then hears no worker.
            is_deaf = isinstance(runner, MasterRunner) and gevent.getcurrent() in set(
                runner.greenlet
            )
            self._closing = gevent.spawn(self._close, self._run, is_deaf=is_deaf)
        self._closing.join()

    def _close(self, run: Run, *, is_deaf: bool) -> None:
        try:
            if self._workers is not None:
                self._workers.close(is_deaf=is_deaf)
            self._close_desk()
            ended_at = now()
            self._close_ledger()
            if self._newest is not None:
                self._newest.close()
            code = run.close(ended_at)
            self._result = run.result
            self._exit_code.of_run = code
        except LoadError as error:
            self.fail(str(error), error.exit_code)
        except Exception as error:  # noqa: BLE001 -- the outermost frame that is ours
            self.on_our_fault(error)
        finally:
            self._run = None
            self._workers = None
            if self._newest is not None:
                self._newest.finish(is_over=True)
            if is_deaf:  # the last worker is gone, and Locust would go on without any
                self.stop_load()

    def _stop_users(self) -> None:
        stop_users(self._environment)

    def _end_locust(self) -> None:
        environment = self._environment
        if environment is None or environment.runner is None:
            return
        environment.runner.quit()
        if self._run is not None:
            self._close_run()
        end_web_ui(environment)

    def _end_with(self, master: int) -> None:
        """Worker of --processes: end when the master does; Locust would order on for a minute."""
        await_end_of(master)
        self._end_locust()

    def _remember(self, exit_code: int) -> None:
        self._exit_code.failed_with = self._exit_code.failed_with or exit_code


def _nothing(_event: Event) -> None:
    return


def _listen(hook: EventHook, listener: Callable[..., None]) -> None:
    hook.add_listener(listener)  # type: ignore[no-untyped-call]


process = LoadProcess()
_listen(events.init_command_line_parser, process.on_parser)
_listen(events.init, process.on_init)
_listen(events.test_start, process.on_test_start)
_listen(events.spawning_complete, process.on_spawning_complete)
_listen(events.test_stopping, process.on_test_stopping)
_listen(events.test_stop, process.on_test_stop)
# Fired in reverse: the earliest is the last.
_listen(events.quitting, process.on_quitting_last)
_listen(events.quit, process.on_quit)
