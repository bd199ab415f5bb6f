"""What a master, a worker and a Locust by itself have in common: they order, fail and end alike."""

import logging
import sys
from argparse import Namespace
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import MasterRunner

from analysis.evidence.run_directory import RunDirectory
from harness.arguments.arguments import Settings
from harness.customers.current_run import CurrentRun
from harness.demand.arrivals import Arriving
from harness.demand.ordering import Desk
from harness.demand.plan import Plan
from harness.errors import EXIT_OUR_FAULT, LedgerFailed, LoadError
from harness.record.counts_by_second import LiveCounts
from harness.record.journal import now
from harness.record.ledger import Ledger
from harness.record.recording import Recording
from harness.run.exit_code import ExitCode

NewCustomer = Callable[[Environment], Arriving]
logger = logging.getLogger(__name__)


def guarded(listener: Callable[..., None]) -> Callable[..., None]:
    """End the process with a line and an exit code where Locust would log and go on."""

    @wraps(listener)
    def guard(self: "LocustProcess", *arguments: Any, **facts: Any) -> None:
        try:
            listener(self, *arguments, **facts)
        except LoadError as error:
            self.fail(str(error), error.exit_code)
        except Exception as error:  # noqa: BLE001 -- the outermost frame that is ours
            self.on_our_fault(error)
            self.stop_load()

    return guard


class LocustProcess:
    """The part in the load of one process; `join` is called when Locust has made its environment.

    `current` is the run in which customers order here, the newest one; a master has none.
    """

    def __init__(
        self, environment: Environment, exit_code: ExitCode, new_customer: NewCustomer
    ) -> None:
        self.environment = environment
        self.exit_code = exit_code
        self.current: CurrentRun | None = None
        self.is_stopping = False
        self.was_released = False
        self.result = ""
        self._new_customer = new_customer
        self._interrupts = 0

    @property
    def options(self) -> Namespace:
        """Locust's parsed options, ours among them."""
        options = self.environment.parsed_options
        if not isinstance(options, Namespace):
            raise LoadError("Locust has parsed no options")
        return options

    @property
    def is_headless(self) -> bool:
        """Whether nobody sits at a web UI of this process."""
        return self.environment.web_ui is None

    # --- the events that all of them hear, and Ctrl-C ---

    def on_spawning_complete(self, **_: object) -> None:
        """Hear that all users are there."""

    @guarded
    def on_test_stopping(self, **_: object) -> None:
        """Users are about to stop; from now on none begins anything."""
        self.is_stopping = True
        if self.current is not None:
            self.current.stop()

    @guarded
    def on_interrupt(self) -> None:
        """Ctrl-C: end in good order, once."""
        self._interrupts += 1
        if self._interrupts == 1:
            self.end_locust()

    # --- what goes wrong ---

    def fail(self, why: str, exit_code: int) -> None:
        """Say what went wrong, remember the exit code, and stop the load. The evidence stays."""
        self._remember(exit_code)
        self.stop_load()
        self.tell("run_failed", why)

    def on_our_fault(self, error: BaseException) -> None:
        """Note an error that is a fault of ours; the run's exit code will be 70."""
        why = f"a fault of ours: {type(error).__name__}: {error}"
        logger.debug("unforeseen", exc_info=error)
        self._remember(EXIT_OUR_FAULT)
        self.tell("our_fault", why)

    def on_ledger_failed(self, failure: LedgerFailed) -> None:
        """Stop the load: no attempt is sent that cannot be recorded."""
        self.fail(str(failure), failure.exit_code)

    def note(self, event: str, detail: str) -> None:
        """Tell people and the run's events, by way of the master where there is one."""
        self.tell(event, detail)

    def tell(self, event: str, why: str) -> None:  # noqa: ARG002 -- a run's events are its master's
        """Tell people."""
        sys.stderr.write(f"chaos-shop: {why}\n")

    def _remember(self, exit_code: int) -> None:
        self.exit_code.failed_with = self.exit_code.failed_with or exit_code

    # --- the end ---

    def stop_load(self) -> None:
        """Stop the users, and Locust too where nobody sits at its web UI."""
        gevent.spawn(self.end_locust if self.is_headless else self.stop_users)

    def stop_users(self) -> None:
        """Stop the users of this process; a master's workers are told by ourselves."""
        runner = self.environment.runner
        if isinstance(runner, MasterRunner):
            # Without its own stop message, which makes workers deaf for the stop timeout.
            runner.stop(send_stop_to_client=False)
        elif runner is not None:
            runner.stop()

    def end_locust(self) -> None:
        """Stop the users and close the run; Locust ends, and its web UI, with which it ends too."""
        if self.environment.runner is None:
            return
        self.environment.runner.quit()
        self.close_run()
        if self.environment.web_ui is not None:
            self.environment.web_ui.stop()  # type: ignore[no-untyped-call]

    def close_run(self) -> None:
        """Close what is open still after the users' end."""

    # --- customers ---

    def begin_run(
        self, run: RunDirectory, name: str, live: LiveCounts | None, *, worker: str | None = None
    ) -> CurrentRun:
        """Open the ledger `name`, and what customers order at; begin the arrivals.

        `worker` is Locust's id of this process where it is one.
        """
        settings, plan = Settings.from_options(self.options), Plan.from_options(self.options)
        desk = Desk(settings.orders, plan, plan.part_of(worker), note=self.note)
        ledger = Ledger(
            run.ledger_file(name),
            process_id=name,
            at=now(),
            on_failure=self.on_ledger_failed,
            on_slow=partial(self.note, "ledger_sync_slow"),
        )
        self.current = current = CurrentRun(settings, Recording(ledger, live), desk, note=self.note)
        if self.is_stopping:  # since before it began
            current.stop()
        current.begin(self.environment, self._new_customer, on_our_fault=self.on_our_fault)
        return current
