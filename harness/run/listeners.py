"""Every event of Locust that we hear, in one table, and who hears it; once per process."""

import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import gevent
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.event import EventHook
from locust.runners import Runner, WorkerRunner
from locust.web import WebUI

from harness.arguments.arguments import add_arguments
from harness.arguments.check import check_options
from harness.errors import EXIT_USAGE, BadArgument
from harness.run.exit_code import ExitCode
from harness.run.locust_process import LocustProcess, NewCustomer
from harness.run.master import MasterProcess
from harness.workers.worker import WorkerProcess

_STDOUT, _STDERR = 1, 2
_Listener = Callable[..., None]
# It tells of every endpoint and credential that it finds.
logging.getLogger("botocore").setLevel(logging.WARNING)


def listen(*, new_customer: NewCustomer) -> None:
    """Register our listeners, as locustfiles are loaded; `new_customer` makes who orders when due.

    Locust knows what this process is only later: `start.process` is set as it is initialised.
    """
    start = _Start(new_customer)
    _register(
        (events.init_command_line_parser, start.on_parser),
        (events.init, start.on_init),
        # Before those of locustfiles, which are to find a run that has begun.
        (events.test_start, start.hand_on(MasterProcess.on_test_start)),
        (events.spawning_complete, start.hand_on(LocustProcess.on_spawning_complete)),
        (events.test_stopping, start.hand_on(LocustProcess.on_test_stopping)),
        (events.test_stop, start.hand_on(MasterProcess.on_test_stop)),
        # Fired in reverse: the earliest is the last.
        (events.quitting, start.on_quitting_last),
        (events.quit, start.on_quit),
    )


def _listen_as_master(master: MasterProcess) -> None:
    heard = master.environment.events
    _register(
        (heard.worker_connect, master.on_worker_connect),
        (heard.worker_report, master.on_worker_report),
        # Registered last and fired in reverse: before the master's own listener ends the test.
        (heard.quitting, master.on_quitting),
    )


def _listen_as_worker(worker: WorkerProcess) -> None:
    heard = worker.environment.events
    _register((heard.report_to_master, worker.on_report_to_master))


def _register(*table: tuple[EventHook, _Listener]) -> None:
    for hook, listener in table:
        hook.add_listener(listener)  # type: ignore[no-untyped-call]


class _Start:
    """From Locust's command line to its end: what does not depend on what this process becomes."""

    process: LocustProcess

    def __init__(self, new_customer: NewCustomer) -> None:
        self._new_customer = new_customer
        self._exit_code = ExitCode()
        self._stdout: _KeptStdout | None = None
        self._is_checked = False
        # Locust imports us and then makes workers by forking: by now their master may be dead.
        self._imported_by = os.getpid()

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

    def _take(self, options: Namespace) -> None:
        """Check the options; from now on Locust's own codes say nothing, nor its stdout."""
        try:
            is_run = check_options(options) is not None
        except BadArgument as error:
            sys.stderr.write(f"chaos-shop: {error}\n")
            sys.exit(EXIT_USAGE)
        # The command line may be looked at only, and no Locust is to be.
        if is_run and not getattr(options, "is_only_checked", False):
            self._exit_code.watch(has_workers=bool(options.processes))
            if options.json:
                self._stdout = _KeptStdout()

    def on_init(
        self, environment: Environment, runner: Runner, web_ui: WebUI | None, **_: object
    ) -> None:
        """Become a worker, or the process that has the runs."""
        self._exit_code.guard(environment)
        self._exit_code.is_ready = True
        try:
            if isinstance(runner, WorkerRunner):
                worker = WorkerProcess(runner, self._exit_code, self._new_customer)
                self._become(worker)
                worker.join(forked_by=self._imported_by if worker.options.processes else None)
                _listen_as_worker(worker)
            else:
                master = MasterProcess(environment, self._exit_code, self._new_customer)
                self._become(master)
                master.join(web_ui)
                _listen_as_master(master)
        except Exception as error:
            self.process.on_our_fault(error)
            raise  # it ends Locust

    def _become(self, process: LocustProcess) -> None:
        self.process = process
        gevent.signal_handler(signal.SIGINT, process.on_interrupt)

    def hand_on(self, listener: _Listener) -> _Listener:
        """Make a listener of a method of what this process will have become."""

        def hear(**facts: object) -> None:
            getattr(self.process, listener.__name__)(**facts)

        return hear

    def on_quitting_last(self, **_: object) -> None:
        """Everybody's listeners are done: what Locust prints now is its own."""
        if isinstance(self.process, WorkerProcess):
            # Sent by the master, whose file it would be; a worker's own statistics are empty.
            self.process.options.json, self.process.options.json_file = False, None
        elif self._stdout is not None:
            self._stdout.give_back()
        if self._exit_code.failed_with and not self.process.was_released:
            # Empty tables would be below the line that says why there was no load.
            logging.getLogger("locust.stats_logger").disabled = True

    def on_quit(self, **_: object) -> None:
        """Locust has printed its statistics: the verdict is the last that people read."""
        self._exit_code.is_settled = True
        if self._stdout is not None:
            self._stdout.take()
        result, self.process.result = self.process.result, ""
        print(result, end="", flush=True)


class _KeptStdout:
    """Stdout for Locust's `--json` alone: what else is printed, by children too, goes to stderr.

    It is the real one, while file descriptor 1 is stderr.
    """

    def __init__(self) -> None:
        self._stdout = os.dup(_STDOUT)
        self.take()

    def take(self) -> None:
        """Send what is printed from now on to stderr."""
        sys.stdout.flush()
        os.dup2(_STDERR, _STDOUT)

    def give_back(self) -> None:
        """Send what is printed from now on to stdout."""
        sys.stdout.flush()
        os.dup2(self._stdout, _STDOUT)
