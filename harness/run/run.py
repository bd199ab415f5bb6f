"""One run as the master (or a Locust by itself) lives it: from its directory to its verdict."""

import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import gevent
from locust.env import Environment
from locust.runners import MasterRunner

from analysis.evidence.errors import EvidenceError
from analysis.evidence.records import Event, format_time
from analysis.evidence.run_directory import RunDirectory
from harness.arguments.arguments import Settings, without_password
from harness.arguments.experiment import load_hypotheses
from harness.arguments.host import Host
from harness.errors import EXIT_OUR_FAULT, EXIT_UNDECIDED, EXIT_USAGE, BadArgument, LoadError
from harness.faults.abort import Watchman
from harness.faults.commands.fault import command_faults
from harness.faults.fis.observer import Observer
from harness.faults.fis.preparation import prepare_aws
from harness.faults.hook import Hook
from harness.faults.record import Fault, FaultRecords
from harness.record.counts_by_second import LiveCounts
from harness.record.journal import Journal, now
from harness.record.pulse import Pulse
from harness.record.reported_counts import LiveFleet
from harness.run.analysis_command import AnalysisCommand
from harness.run.run_time import RunClock
from harness.run.statistics import StatisticsFiles

RUNS = Path("runs")
_CLONE = Path(__file__).resolve().parents[2]
# So long a shop that is still starting may take to answer at all.
_ANSWERS_WITHIN_S = 5.0
_PASSED_ON = frozenset({0, 1, EXIT_UNDECIDED, EXIT_USAGE, EXIT_OUR_FAULT})


class SnapshotFailed(LoadError):
    """The database could not be read before the run, so the run would prove nothing."""

    def __init__(self, code: int) -> None:
        super().__init__("the snapshot before the run failed (see above); no load was started")
        self.exit_code = EXIT_OUR_FAULT if code == EXIT_OUR_FAULT else EXIT_USAGE


class Run:
    """The life of one run: `prepare`, users, `stopping`, `close`.

    `prepare` raises LoadError where there must be no load. Everything after it keeps the evidence.
    """

    def __init__(
        self,
        environment: Environment,
        settings: Settings,
        directory: RunDirectory,
        journal: Journal,
        clock: RunClock,
    ) -> None:
        self.environment = environment
        self.settings = settings
        self.directory = directory
        self.journal = journal
        self.clock = clock
        self.is_stopping = False
        self.is_interrupted = False
        self.result = ""
        self._command: AnalysisCommand | None = None
        self._statistics: StatisticsFiles | None = None
        self._observer: Observer | None = None
        self.hook = Hook((), journal)
        self.fleet = LiveFleet(run_id=directory.run_id)
        self.on_abort: Callable[[], None] = lambda: None
        self._local: LiveCounts | None = None
        self._watchman: Watchman | None = None
        self._was_left = False

    @classmethod
    def create(
        cls,
        environment: Environment,
        settings: Settings,
        clock: RunClock,
        on_our_fault: Callable[[BaseException], None],
        on_event: Callable[[Event], None],
    ) -> "Run":
        """Make the run's directory and its run.json, and say where it is."""
        options = environment.parsed_options
        hypotheses = load_hypotheses(
            config=options.config if options else None, experiment=settings.experiment
        )
        started_at = now()
        try:
            directory = RunDirectory.create(
                root=RUNS, experiment=settings.experiment, at=started_at, path=settings.run_dir
            )
        except (EvidenceError, OSError) as error:
            raise BadArgument(f"the run's directory cannot be made: {error}") from error
        journal = Journal(directory, on_our_fault=on_our_fault, on_event=on_event)
        journal.update(
            run_id=directory.run_id,
            started_at=format_time(started_at),
            ended_at=None,
            target=settings.target.value,
            host=without_password(environment.host or ""),
            experiment=settings.experiment,
            settings={**_load_to_keep(environment), **settings.to_keep()},
            versions=_versions(),
            interrupted=False,
            settle=None,
            hypotheses=hypotheses,
            fault=None,
            health_check=None,
            access_log=_place_in_log(settings.access_log),
        )
        run = cls(environment, settings, directory, journal, clock)
        run._announce()
        return run

    @property
    def name(self) -> str:
        """The directory as people see it: relative to where they are, if it is below."""
        path = self.directory.path
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)

    def prepare(self) -> None:
        """Do all that must be done before the first user starts. Raises LoadError."""
        self._find_shop()
        self._prepare_faults()
        if self.settings.database_url:
            code = self._analyse("snapshot", str(self.directory.path), "--before")
            if code != 0 and not self.is_interrupted:
                raise SnapshotFailed(code)
        else:
            self.journal.note_run("no_database", "without --database-url there is no verdict")
        if self.is_interrupted:
            raise gevent.GreenletExit
        self._statistics = StatisticsFiles(self.environment, self.directory.path)

    def release(self, local: LiveCounts | None = None) -> None:
        """Start the clocks: users start now; `local` counts those of this process."""
        self._local = local
        self.clock.begin()
        if self._statistics is not None:
            self._statistics.start()
        self.hook.start(self.run_time_s)
        if self._watchman is not None:
            self._watchman.start()

    def gather(self) -> None:
        """Bring into the fleet what this process has seen since the last time."""
        if self._local is not None:
            self.fleet.take("local", self._local.report())

    @property
    def host(self) -> str:
        """The shop's address, without a password."""
        return without_password(self.environment.host or "")

    @property
    def run_time_s(self) -> float | None:
        """How long the run is to take; None for one that goes on until it is stopped."""
        return getattr(self.environment.parsed_options, "run_time", None) or None

    def why_not_inject(self) -> str:
        """Say why the fault cannot be fired now; empty if it can."""
        is_ending = self.is_stopping or self.is_interrupted
        return "the run is ending" if is_ending and self.hook.plan else self.hook.why_not_fire()

    def inject_now(self) -> str:
        """Fire the fault at once; returns why not, empty if it is to happen."""
        why_not = self.why_not_inject()
        if not why_not:
            self.hook.fire_now()
        return why_not

    def stopping(self) -> None:
        """Note that users are being told to stop."""
        if self.is_stopping:
            return
        self.clock.cancel()
        limit_s = self.clock.limit_s if self.environment.web_ui is None else None
        if limit_s is not None and not self.clock.is_over:
            lasted_s = self.clock.elapsed_s
            self.interrupt(f"users were stopped after {lasted_s:.0f} of {limit_s:g} s")
        self.is_stopping = True
        self.journal.note_run("run_stopping")

    def _abort(self, why: str) -> None:
        """End the fault at once, and the run with it: a condition has come to hold."""
        self.journal.note_run("run_aborted", why)
        sys.stderr.write(f"chaos-shop: aborted: {why}\n")
        self.hook.abort()
        self.interrupt(f"aborted: {why}")
        self.on_abort()

    def call_off(self) -> None:
        """End a run that has had no user; there is nothing to judge."""
        self.clock.cancel()
        self._close_parts()
        self.journal.update(ended_at=format_time(now()))

    def _close_parts(self) -> None:
        for part in (self._watchman, self.hook, self._observer, self._statistics):
            if part is not None:
                part.close()

    def interrupt(self, why: str) -> None:
        """Note that the run ends before its time, because of `why`."""
        if self.is_stopping or self.is_interrupted:
            return
        self.is_interrupted = True
        self.journal.note_run("run_interrupted", why)
        self.journal.update(interrupted=True)
        if self._command is not None:
            self._command.stop()

    def close(self, ended_at: int) -> int:
        """Close the evidence, have it judged, and return the exit code. Users have ended."""
        self._close_parts()
        self.journal.update(ended_at=format_time(ended_at), interrupted=self.is_interrupted)
        self.journal.note_run("users_stopped")
        code = self._analyse(
            "finish",
            str(self.directory.path),
            "--fail-on",
            self.settings.fail_on,
            *(("--parquet",) if self.settings.evidence_format == "parquet" else ()),
            # Locust prints its statistics when all is over: the verdict goes below them.
            keeps_output=self.environment.web_ui is None,
        )
        if self._was_left:
            return EXIT_UNDECIDED
        if code not in _PASSED_ON:
            sys.stderr.write(f"the analysis ended with {code}; try `{self._finish_line}`\n")
            return EXIT_OUR_FAULT
        return code

    def leave(self) -> None:
        """Give up waiting for the analysis: the evidence stays, and the way on is printed."""
        self._was_left = True
        if self._command is not None:
            self._command.stop()
        sys.stderr.write(f"left unfinished; DATABASE_URL=... {self._finish_line} goes on\n")

    @property
    def _finish_line(self) -> str:
        if Path.cwd() == _CLONE:
            return f"python -m analysis finish {self.name}"
        return f"PYTHONPATH={_CLONE} python -m analysis finish {self.directory.path}"

    def _announce(self) -> None:
        print(f"run directory: {self.name}", flush=True)
        register = os.environ.get("CHAOS_RUN_FILE")
        if register:
            with Path(register).open("a", encoding="utf-8") as file:
                file.write(f"{self.directory.path}\n")
        self.journal.note_run("run_started", self.host)

    def _analyse(self, *arguments: str, keeps_output: bool = False) -> int:
        self._command = command = AnalysisCommand(
            *arguments, database_url=self.settings.database_url, keeps_output=keeps_output
        )
        try:
            return command.run()
        finally:
            self.result += command.output
            self._command = None

    def _find_shop(self) -> None:
        """See that somebody is there to take the load. BadArgument, where this process tells."""
        host = self.environment.host
        if not host:  # a user class may have one of its own
            return
        try:
            Host.parse(host).await_answer(
                timeout_s=self.settings.connect_timeout_s, within_s=_ANSWERS_WITHIN_S
            )
        except BadArgument as error:
            options = self.environment.parsed_options
            if not isinstance(self.environment.runner, MasterRunner) or (
                options is not None and options.processes
            ):
                raise
            # Its workers may be where the shop can be reached.
            self.journal.note_run("host_silent", f"from the master: {error}")
            sys.stderr.write(f"chaos-shop: from the master: {error}\n")

    def _prepare_faults(self) -> None:
        asked, records = self.settings.faults, FaultRecords(self.journal)
        faults: list[Fault] = []
        if self.settings.watches_aws:
            host = self.environment.host or ""
            faults, self._observer = prepare_aws(self.settings, self.journal, records, host=host)
        faults += command_faults(asked, self.journal, records)
        pulse = self._pulse() if asked.needs_pulse else None
        if faults:
            self.hook = Hook(
                faults,
                self.journal,
                pulse=pulse,
                guards=asked.guards,
                steady_limit_s=asked.steady_limit_s,
            )
            self.hook.announce()
        if self._observer is not None:
            self._observer.start()
        if pulse is not None and asked.aborts:
            self._watchman = Watchman(
                pulse, asked.aborts, on_abort=self._abort, on_our_fault=self.journal.on_our_fault
            )

    def _pulse(self) -> Pulse:
        runner = self.environment.runner
        options = self.environment.parsed_options
        return Pulse(
            fleet=self.fleet,
            gather=self.gather,
            users=lambda: runner.user_count if runner is not None else 0,
            users_wanted=lambda: getattr(options, "num_users", None),
            healthy=lambda: None if self._observer is None else self._observer.healthy_count,
            # Workers report once a second.
            lag_s=1.0 if isinstance(runner, MasterRunner) else 0.0,
        )


def _place_in_log(log: Path | None) -> dict[str, object] | None:
    """Say where in the load balancer's log the run begins."""
    if log is None:
        return None
    return {"path": str(log.resolve()), "offset": log.stat().st_size if log.is_file() else 0}


def _load_to_keep(environment: Environment) -> dict[str, object]:
    """Return what Locust itself was asked for."""
    options = environment.parsed_options
    return {
        "users": getattr(options, "num_users", None),
        "spawn_rate": getattr(options, "spawn_rate", None),
        "run_time_s": getattr(options, "run_time", None),
        "stop_timeout_s": environment.stop_timeout,
        "processes": getattr(options, "processes", None),
    }


def _versions() -> dict[str, str]:
    packages = ("locust", "geventhttpclient", "gevent", "boto3")
    return {
        **{name: version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
