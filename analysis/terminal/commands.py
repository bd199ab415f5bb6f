"""The commands on a run: reconcile, snapshot, finish, story, report, fetch-access-log.

What only some of them need, and takes long to import, is imported where it is used.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from analysis.closing.progress import Progress
from analysis.database.patience import Patience
from analysis.evidence.errors import AnalysisError, EvidenceError, UsageError
from analysis.evidence.run import parse_run
from analysis.evidence.run_directory import REPORT_FILE, RunDirectory
from analysis.evidence.tables import ORDERS
from analysis.judging.finding_records import Method
from analysis.terminal.arguments import WAIT_BEFORE_S
from analysis.terminal.parts import safe
from analysis.terminal.run_result import render
from analysis.terminal.stories import render_story, story_as_json
from analysis.verdict.judge_run import judge, judge_again, judge_run, load_evidence
from analysis.verdict.judgement import FailOn, Judgement
from analysis.verdict.results import write_for_ci
from analysis.verdict.summary import summarise

if TYPE_CHECKING:
    from analysis.bulk.engine import Connect


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the commands take from the environment, and the terminal that they complain to."""

    database_url: str
    should_show_traceback: bool
    step_summary: Path | None

    def complain(self, message: str) -> None:
        """Say on stderr, in a line, what went wrong."""
        print(f"analysis: {safe(message)}", file=sys.stderr)
        if self.should_show_traceback:
            traceback.print_exc()

    def note(self, complaints: Iterable[str]) -> None:
        """Say what went wrong beside the verdict, which stands."""
        for each in complaints:
            self.complain(f"note: {each}")


@dataclass(frozen=True, slots=True)
class RunCommand:
    """A command on a run's directory."""

    directory: RunDirectory
    options: argparse.Namespace
    surroundings: Surroundings

    def run(self) -> int:
        """Do it, and return the exit code."""
        match self.options.command:
            case "snapshot":
                self._snapshot(is_before=self.options.before)
                return 0
            case "finish":
                return self._finish()
            case "story":
                return self._tell()
            case "fetch-access-log":
                return self._fetch_access_log()
            case "report":
                return self._report()
            case _:
                return self._reconcile()

    def _snapshot(self, *, is_before: bool) -> None:
        if not self.surroundings.database_url:
            raise UsageError(
                "DATABASE_URL is not set; a snapshot is taken of the database that it names"
            )
        from analysis.database.snapshot import take_after, take_before  # noqa: PLC0415 -- see above
        from analysis.measures.hypotheses import check_hypotheses  # noqa: PLC0415 -- see above

        if is_before:  # afterwards they could not be corrected
            check_hypotheses(parse_run(self.directory.read_run()).hypotheses)
        take = take_before if is_before else take_after
        with _progress("waiting for the database to come to rest"):
            settle = take(
                self.directory,
                self.surroundings.database_url,
                settle_limit_s=self.options.settle_limit,
                patience=Patience(
                    limit_s=self._database_wait_s(is_before=is_before),
                    tell=self.surroundings.complain,
                ),
            )
        if not settle.settled:
            self.surroundings.complain(
                f"the database had not come to rest after {settle.waited_s:g} s: "
                f"{len(settle.waited_for)} transactions open"
            )
        self.surroundings.note(map(_idle, settle.idle))
        if self.options.json and self.options.command == "snapshot":
            print_json({"run_id": self.directory.run_id, "settle": settle.as_json()})

    def _database_wait_s(self, *, is_before: bool) -> float:
        """Return what was asked for here, or with the run; before a run not much is waited."""
        asked: float | None = self.options.database_wait
        if asked is None:
            asked = parse_run(self.directory.read_run()).database_wait_s
        return min(asked, WAIT_BEFORE_S) if is_before else asked

    def _finish(self) -> int:
        from analysis.closing.close import complete_part  # noqa: PLC0415 -- see above
        from analysis.closing.gathering import gather_access_log  # noqa: PLC0415 -- see above

        with self.directory.closing():
            complete_part(self.directory, limit_s=self.options.settle_limit)
            try:
                self._close()
            finally:
                # Last, since a load balancer writes late; and in any case, since a lab takes it
                # along.
                gather_access_log(self.directory)
            self._add_parquet()
        return self._reconcile()

    def _close(self) -> None:
        from analysis.closing.close import close_evidence  # noqa: PLC0415 -- see above
        from analysis.closing.gathering import gather_ledgers  # noqa: PLC0415 -- see above

        gather_ledgers(self.directory, limit_s=self.options.settle_limit)
        close_evidence(self.directory, limit_s=self.options.settle_limit)
        if self.surroundings.database_url and not self.directory.has_table(ORDERS):
            try:
                self._snapshot(is_before=False)
            except AnalysisError as error:
                # The clients' side is saved; without the table the verdict is undecided.
                self.directory.update_run(unread=str(error))
                self.surroundings.complain(f"{error}; put that right and run `finish` again")

    def _add_parquet(self) -> None:
        from analysis.closing.close import add_parquet  # noqa: PLC0415 -- see above

        try:
            add_parquet(self.directory, every_table=self.options.parquet)
        except AnalysisError as error:  # what is not there as Parquet is judged from CSV
            self.surroundings.complain(str(error))

    def _reconcile(self) -> int:
        directory, options = self.directory, self.options
        had_report = directory.has(REPORT_FILE)
        with _progress("judging"):
            judgement = judge_run(
                directory,
                method=Method(options.method),
                late_window_s=options.late_window,
                fail_on=FailOn(options.fail_on),
                memory=options.memory,
                connect=self._engine(),
            )
        if options.json:
            print_json(summarise(judgement))
        else:
            render(judgement, plain_console(), directory=directory.path)
        self.surroundings.note(self._write_for_ci(judgement))
        if options.draws and not self._is_remote:  # it draws what is in the tables
            from analysis.report.report_files import write_report  # noqa: PLC0415 -- see above

            with _progress("drawing the report"):
                complaints = list(write_report(directory, judgement))
            self.surroundings.note(complaints)
        elif had_report and not directory.has(REPORT_FILE):
            self.surroundings.note(
                [f"{REPORT_FILE} showed another judgement, and is gone; `report` draws it anew"]
            )
        return judgement.exit_code

    @property
    def _is_remote(self) -> bool:
        return "://" in self.options.run_dir

    def _engine(self) -> "Connect | None":
        if self.options.command != "reconcile" or self.options.engine != "spark":
            return None
        from analysis.bulk.spark_engine import in_spark  # noqa: PLC0415 -- see above

        return in_spark(self.options.run_dir if self._is_remote else None)

    def _report(self) -> int:
        from analysis.report.report_files import write_picture, write_report  # noqa: PLC0415 -- see above

        with _progress("judging"):
            judgement = judge_again(self.directory, memory=self.options.memory)
        with _progress("drawing the report"):
            complaints = [*self._write_for_ci(judgement)]
            complaints += write_report(self.directory, judgement)
            if self.options.png:
                complaints += write_picture(self.directory, judgement)
        if complaints:
            raise EvidenceError(complaints[0])
        if self.options.json:
            print_json(summarise(judgement))
        else:
            plain_console().print(str(self.directory.path / REPORT_FILE), soft_wrap=True)
        return 0

    def _write_for_ci(self, judgement: Judgement) -> Iterator[str]:
        step_summary = self.surroundings.step_summary
        return write_for_ci(self.directory, judgement, step_summary=step_summary)

    def _tell(self) -> int:
        attempt_id = self.options.attempt_id
        judgement = judge(load_evidence(self.directory, story_of=attempt_id))
        found = [
            each for each in judgement.findings.attempts if each.attempt.attempt_id == attempt_id
        ]
        if not found:
            raise UsageError(
                f"no attempt {attempt_id} in {self.directory.path}; "
                "reconciliation.csv lists them all"
            )
        if self.options.json:
            print_json({"attempts": [story_as_json(each, judgement) for each in found]})
            return 0
        console = plain_console()
        for finding in found:
            render_story(finding, judgement, console)
        return 0

    def _fetch_access_log(self) -> int:
        from analysis.closing.log_delivery import fetch_access_log  # noqa: PLC0415 -- see above

        now = time.time_ns() // 1000
        delivery = fetch_access_log(self.directory, self.options.uri, now=now)
        where = self.directory.access_log.folder
        if self.options.json:
            print_json({"files": delivery.files, "bytes": delivery.bytes, "folder": str(where)})
        else:
            found = f"{delivery.files} ({delivery.bytes} bytes)"
            print(f"access log files of the run's time: {found} in {where}")
        if delivery.may_be_more:
            self.surroundings.complain(
                "the last files may not have been delivered yet; fetch again later"
            )
        return 0


def _idle(transaction: Mapping[str, object]) -> str:
    name = transaction["application_name"] or "no name"
    return (
        f"a transaction of {name} (pid {transaction['pid']}) is open since "
        f"{transaction['xact_start']}, idle and without a lock to write with: not waited for"
    )


@contextmanager
def _progress(what: str) -> Iterator[None]:
    with Progress() as progress:
        progress.tell(f"{what} ...")
        yield


def print_json(content: Mapping[str, object]) -> None:
    """Print a result as one JSON document."""
    print(json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False))


def plain_console() -> Console:
    """Return the terminal, on which text is shown as it is."""
    return Console(markup=False, emoji=False, highlight=False)
