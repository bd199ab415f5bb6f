"""One Locust process between Locust's events and our run: listeners, signals, exit code.

A worker keeps a ledger and nothing else. The master, or a Locust by itself, also has the run.
Importing this module registers the listeners, once per process.
"""

import logging
import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import gevent
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.event import EventHook
from locust.rpc import Message
from locust.runners import (
    STATE_MISSING,
    STATE_RUNNING,
    STATE_SPAWNING,
    MasterRunner,
    Runner,
    WorkerRunner,
)
from locust.web import WebUI

from analysis.run_directory import RunDirectory
from locustfiles._arguments import Settings, add_arguments
from locustfiles._errors import EXIT_OUR_FAULT, EXIT_USAGE, BadArgument, LedgerFailed, LoadError
from locustfiles._journal import now
from locustfiles._ledger import Ledger, LedgerKeeper, process_id
from locustfiles._run import Run

__all__ = ["process"]

logger = logging.getLogger(__name__)
# It tells of every endpoint and credential that it finds.
logging.getLogger("botocore").setLevel(logging.WARNING)
_LATE_WORKERS_S = 10.0
_LOOK_AT_MASTER_EVERY_S = 0.2


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
        self._ledger: Ledger | None = None
        self._keeper: LedgerKeeper | None = None
        self._run: Run | None = None
        self._closing: gevent.Greenlet[..., None] | None = None
        self._open_ledgers: set[str] = set()
        self._database_url = ""
        self._failed_with: int | None = None
        self._interrupts = 0
        self._result = ""

    @property
    def ledger(self) -> Ledger:
        """The ledger of the run that is on; LedgerFailed between runs."""
        if self._ledger is None:
            message = "no ledger is open, so nothing may be sent"
            raise LedgerFailed(message)
        return self._ledger

    # --- Locust's events ---

    def on_parser(self, parser: LocustArgumentParser, **_: object) -> None:
        """Add our arguments."""
        add_arguments(parser)

    def on_init(
        self, environment: Environment, runner: Runner, web_ui: WebUI | None, **_: object
    ) -> None:
        """Check the arguments before anything starts, and listen to signals and workers."""
        self._environment = environment
        gevent.signal_handler(signal.SIGINT, self.on_interrupt)
        if isinstance(runner, WorkerRunner):
            runner.register_message("chaos_stop", self.on_stop_message, concurrent=True)
            if self._options.processes:
                gevent.spawn(self._end_with, os.getppid())
            return
        if isinstance(runner, MasterRunner):
            runner.register_message("chaos_ledger", self.on_ledger_message)
            runner.register_message("chaos_sync_slow", self.on_slow_message)
        self._check_arguments(self._options, is_headless=web_ui is None)
        # Registered last and fired in reverse: before the master's own listener ends the test.
        _listen(environment.events.quitting, self.on_quitting)

    @_guarded
    def on_test_start(self, environment: Environment, **_: object) -> None:
        """Get ready; no user starts before this returns."""
        self.is_stopping = False
        if isinstance(environment.runner, WorkerRunner):
            self._open_ledger(Path(self._options.chaos_run_path))
            environment.runner.send_message("chaos_ledger", {"state": "open"})
            return
        if self._closing is not None:
            self._closing.join()
        self._closing = None
        self._start_run(environment)

    @_guarded
    def on_spawning_complete(self, user_count: int, **_: object) -> None:
        """Note that all users are there."""
        if self._run is not None:
            self._run.journal.note_run("users_spawned", f"{user_count} users")

    @_guarded
    def on_test_stopping(self, **_: object) -> None:
        """Note that users are about to stop; from now on none begins anything."""
        self.is_stopping = True
        if self._run is not None:
            self._run.stopping()

    @_guarded
    def on_test_stop(self, environment: Environment, **_: object) -> None:
        """Users have stopped (a master's have not yet): close what they wrote, and judge it."""
        if isinstance(environment.runner, WorkerRunner):
            self._close_worker(environment.runner)
        else:
            self._close_run()

    @_guarded
    def on_quitting(self, **_: object) -> None:
        """Locust is about to end, whether or not the test has: see that the run is closed."""
        if self._run is not None:
            self._run.interrupt("SIGTERM")
            self._stop_runner()
            self._close_run()
        elif self._closing is not None:
            self._closing.join()

    def on_quit(self, **_: object) -> None:
        """Locust has printed its statistics: the verdict is the last that people read."""
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

    def on_stop_message(self, environment: Environment, **_: object) -> None:
        """Worker: the master wants users to stop and the ledger closed."""
        runner = environment.runner
        if runner is not None and runner.state in (STATE_RUNNING, STATE_SPAWNING):
            runner.stop()

    def on_ledger_message(self, msg: Message, **_: object) -> None:
        """Master: a worker has opened or closed its ledger, or cannot write it."""
        if msg.data["state"] == "open":
            self._open_ledgers.add(msg.node_id)
        else:
            self._open_ledgers.discard(msg.node_id)
        if msg.data["state"] == "failed":
            self.fail(msg.data["why"], EXIT_OUR_FAULT)

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
        runner = self._environment.runner if self._environment else None
        if isinstance(runner, WorkerRunner):
            runner.send_message("chaos_ledger", {"state": "failed", "why": str(failure)})
        else:
            self.fail(str(failure), failure.exit_code)

    def on_ledger_slow(self, why: str) -> None:
        """Say that a power cut would for now take more than the last second."""
        runner = self._environment.runner if self._environment else None
        if isinstance(runner, WorkerRunner):
            runner.send_message("chaos_sync_slow", {"why": f"{process_id()}: {why}"})
        else:
            self._tell("ledger_sync_slow", f"{process_id()}: {why}")

    def on_slow_message(self, msg: Message, **_: object) -> None:
        """Master: a worker's disk keeps its ledger waiting."""
        self._tell("ledger_sync_slow", msg.data["why"])

    def stop_load(self) -> None:
        """Stop the users, and Locust too where nobody sits at its web UI."""
        if self._environment is not None and self._environment.web_ui is None:
            gevent.spawn(self._end_locust)
        else:
            gevent.spawn(self._stop_runner)

    def _tell(self, event: str, why: str) -> None:
        """Tell people, and the run if its disk still takes it."""
        sys.stderr.write(f"chaos-shop: {why}\n")
        try:
            if self._run is not None:
                self._run.journal.note_run(event, why)
        except OSError as error:
            sys.stderr.write(f"chaos-shop: events.csv cannot be written: {error}\n")

    # --- a run's life ---

    @property
    def _options(self) -> Namespace:
        options = self._environment.parsed_options if self._environment else None
        if not isinstance(options, Namespace):
            message = "Locust has parsed no options"
            raise LoadError(message)
        return options

    def _check_arguments(self, options: Namespace, *, is_headless: bool) -> None:
        try:
            settings = Settings.from_options(options)
            if is_headless:
                _check_headless(settings, options)
        except BadArgument as error:
            sys.stderr.write(f"chaos-shop: {error}\n")
            sys.exit(EXIT_USAGE)
        # Locust sends its options to every worker; only this process needs the secret.
        self._database_url = settings.database_url
        options.database_url = ""

    def _start_run(self, environment: Environment) -> None:
        try:
            settings = Settings.from_options(self._options)
            self.settings = replace(settings, database_url=self._database_url)
            self._failed_with = None
            self._run = run = Run.create(environment, self.settings, self.on_our_fault)
            run.prepare()
            self._options.chaos_run_path = str(run.directory.path)
            if not isinstance(environment.runner, MasterRunner):
                self._open_ledger(run.directory.path)
            run.release()
        except LoadError as error:
            self.fail(str(error), error.exit_code)
            self._call_off()
        except Exception as error:  # noqa: BLE001 -- otherwise Locust would go on without us
            self.on_our_fault(error)
            self.stop_load()
            self._call_off()

    def _call_off(self) -> NoReturn:
        """Give up a run that has had no user; Locust lets no other error keep users away."""
        run, self._run = self._run, None
        if run is not None:
            run.call_off()
        raise gevent.GreenletExit

    def _open_ledger(self, run: Path) -> None:
        name = process_id()
        self.settings = Settings.from_options(self._options)
        path = RunDirectory(run).ledger_file(name)
        self._ledger = Ledger(
            path,
            process_id=name,
            at=now(),
            on_failure=self.on_ledger_failed,
            on_slow=self.on_ledger_slow,
        )
        self._keeper = LedgerKeeper(self._ledger)

    def _close_ledger(self) -> None:
        self._ledger = None
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close(at=now())

    def _close_worker(self, runner: WorkerRunner) -> None:
        """Close the ledger and tell the master, after the last statistics."""
        self._close_ledger()
        report: dict[str, Any] = {}
        runner.environment.events.report_to_master.fire(  # type: ignore[no-untyped-call]
            client_id=runner.client_id, data=report
        )
        runner.send_message("stats", report)
        runner.send_message("chaos_ledger", {"state": "closed"})

    def _close_run(self) -> None:
        """Close the run in a greenlet of its own: whoever waits here may be killed."""
        if self._run is None:
            return
        if self._closing is None:
            self._closing = gevent.spawn(self._close, self._run)
        self._closing.join()

    def _close(self, run: Run) -> None:
        try:
            self._stop_workers()
            ended_at = now()
            self._close_ledger()
            code = run.close(ended_at)
            self._result = run.result
            if self._failed_with is None and self._environment is not None:
                self._environment.process_exit_code = code
        except LoadError as error:
            self.fail(str(error), error.exit_code)
        except Exception as error:  # noqa: BLE001 -- the outermost frame that is ours
            self.on_our_fault(error)
        finally:
            self._run = None

    def _stop_workers(self) -> None:
        """Master: have every worker stop its users and close its ledger, the dead ones excepted."""
        runner = self._environment.runner if self._environment else None
        if not isinstance(runner, MasterRunner):
            return
        runner.send_message("chaos_stop")
        give_up_at = time.monotonic() + runner.environment.stop_timeout + _LATE_WORKERS_S
        while self._open_ledgers and time.monotonic() < give_up_at:
            gevent.sleep(0.05)
            self._open_ledgers = {each for each in self._open_ledgers if _is_alive(runner, each)}
        for late in sorted(self._open_ledgers):
            if self._run is not None:
                self._run.journal.note_run("worker_late", f"{late} did not close its ledger")
        self._open_ledgers = set()

    def _stop_runner(self) -> None:
        runner = self._environment.runner if self._environment else None
        if isinstance(runner, MasterRunner) and self._environment is not None:
            # Without its own stop message, which makes workers deaf for the stop timeout.
            runner.stop(send_stop_to_client=False)
        elif runner is not None:
            runner.stop()

    def _end_locust(self) -> None:
        environment = self._environment
        if environment is None or environment.runner is None:
            return
        environment.runner.quit()
        if self._run is not None:
            self._close_run()
        if environment.web_ui is not None:
            environment.web_ui.stop()  # type: ignore[no-untyped-call]

    def _end_with(self, master: int) -> None:
        """Worker of --processes: end when the master does; Locust would order on for a minute."""
        while os.getppid() == master:
            gevent.sleep(_LOOK_AT_MASTER_EVERY_S)
        self._end_locust()

    def _remember(self, exit_code: int) -> None:
        self._failed_with = self._failed_with or exit_code
        if self._environment is not None:
            self._environment.process_exit_code = self._failed_with


def _check_headless(settings: Settings, options: Namespace) -> None:
    """Check what a web UI would still let people fill in."""
    if not options.host:
        message = "no host: name the shop's URL with --host"
        raise BadArgument(message)
    if settings.fis_template:
        settings.fis_at.after_s(options.run_time or None)


def _is_alive(runner: MasterRunner, worker: str) -> bool:
    node = runner.clients.get(worker)
    return node is not None and node.state != STATE_MISSING


def _listen(hook: EventHook, listener: Callable[..., None]) -> None:
    hook.add_listener(listener)  # type: ignore[no-untyped-call]


process = LoadProcess()
_listen(events.init_command_line_parser, process.on_parser)
_listen(events.init, process.on_init)
_listen(events.test_start, process.on_test_start)
_listen(events.spawning_complete, process.on_spawning_complete)
_listen(events.test_stopping, process.on_test_stopping)
_listen(events.test_stop, process.on_test_stop)
_listen(events.quit, process.on_quit)
