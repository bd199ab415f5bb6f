"""The commands: reconcile, snapshot, finish, story, fetch-access-log.

Exit codes: 0 held, 1 broken, 2 undecided, 64 a wrong argument or unreadable input, 70 our fault.
"""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from analysis.closing import add_parquet, close_evidence
from analysis.errors import (
    EXIT_INTERRUPTED,
    EXIT_OUR_FAULT,
    EXIT_USAGE,
    AnalysisError,
    UsageError,
)
from analysis.findings import Method
from analysis.gathering import gather_access_log, gather_ledgers
from analysis.judgement import judge, judge_run, load_evidence
from analysis.log_delivery import fetch_access_log
from analysis.run_directory import RunDirectory
from analysis.snapshot import SETTLE_LIMIT_S, take_after, take_before
from analysis.summary import FailOn
from analysis.tables import ORDERS
from analysis.terminal import render
from analysis.terminal_parts import safe
from analysis.terminal_stories import render_story

_SECONDS_AT_MOST = 1e9  # more than a run lasts, and few enough to reckon with


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the commands take from the environment; read here and nowhere else."""

    database_url: str
    should_show_traceback: bool

    @classmethod
    def read(cls) -> "Surroundings":
        """Read DATABASE_URL and CHAOS_SHOP_DEBUG."""
        return cls(
            database_url=os.environ.get("DATABASE_URL", ""),
            should_show_traceback=bool(os.environ.get("CHAOS_SHOP_DEBUG")),
        )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; errors are one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    surroundings = Surroundings.read()
    try:
        options = _parser().parse_args(arguments)
        return _run(options, surroundings)
    except AnalysisError as error:
        _complain(str(error), surroundings)
        return EXIT_USAGE
    except KeyboardInterrupt:
        _complain("interrupted; the same command can be run again", surroundings)
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is ours and has an exit code
        _complain(f"a fault of ours: {type(error).__name__}: {error}", surroundings)
        return EXIT_OUR_FAULT


def _complain(message: str, surroundings: Surroundings) -> None:
    print(f"analysis: {safe(message)}", file=sys.stderr)
    if surroundings.should_show_traceback:
        traceback.print_exc()


def _run(options: argparse.Namespace, surroundings: Surroundings) -> int:
    directory = RunDirectory(options.run_dir)
    match options.command:
        case "snapshot":
            return _snapshot(directory, options, surroundings)
        case "finish":
            return _finish(directory, options, surroundings)
        case "story":
            return _tell(directory, options.attempt_id)
        case "fetch-access-log":
            return _fetch_access_log(directory, options.uri, surroundings)
        case _:
            return _reconcile(directory, options)


def _snapshot(
    directory: RunDirectory, options: argparse.Namespace, surroundings: Surroundings
) -> int:
    if not surroundings.database_url:
        message = "DATABASE_URL is not set; a snapshot is taken of the database that it names"
        raise UsageError(message)
    take = take_before if options.before else take_after
    settle = take(directory, surroundings.database_url, settle_limit_s=options.settle_limit)
    if not settle.settled:
        _complain(_unsettled(len(settle.open_transactions), settle.waited_s), surroundings)
    return 0


def _unsettled(still_open: int, waited_s: float) -> str:
    return f"the database had not come to rest after {waited_s:g} s: {still_open} transactions open"


def _finish(
    directory: RunDirectory, options: argparse.Namespace, surroundings: Surroundings
) -> int:
    with directory.closing():
        try:
            _close(directory, options, surroundings)
        finally:
            # Last, since a load balancer writes late; and in any case, since a lab takes it along.
            gather_access_log(directory)
        if options.parquet:
            _add_parquet(directory, surroundings)
    return _reconcile(directory, options)


def _close(
    directory: RunDirectory, options: argparse.Namespace, surroundings: Surroundings
) -> None:
    gather_ledgers(directory, limit_s=options.settle_limit)
    close_evidence(directory, limit_s=options.settle_limit)
    if surroundings.database_url and not directory.has_table(ORDERS):
        try:
            options.before = False
            _snapshot(directory, options, surroundings)
        except AnalysisError as error:
            # The clients' side is saved; without the table the verdict is undecided.
            _complain(f"{error}; put that right and run `finish` again", surroundings)


def _add_parquet(directory: RunDirectory, surroundings: Surroundings) -> None:
    try:
        add_parquet(directory)
    except AnalysisError as error:  # what is not there as Parquet is judged from CSV
        _complain(str(error), surroundings)


def _reconcile(directory: RunDirectory, options: argparse.Namespace) -> int:
    judgement = judge_run(
        directory,
        method=Method(options.method),
        late_window_s=options.late_window,
        fail_on=FailOn(options.fail_on),
    )
    render(judgement, _console(), directory=directory.path)
    return judgement.exit_code


def _tell(directory: RunDirectory, attempt_id: str) -> int:
    judgement = judge(load_evidence(directory, story_of=attempt_id))
    console = _console()
    found = [each for each in judgement.findings.attempts if each.attempt.attempt_id == attempt_id]
    if not found:
        message = f"no attempt {attempt_id} in {directory.path}; reconciliation.csv lists them all"
        raise UsageError(message)
    for finding in found:
        render_story(finding, judgement, console)
    return 0


def _fetch_access_log(directory: RunDirectory, uri: str, surroundings: Surroundings) -> int:
    delivery = fetch_access_log(directory, uri, now=time.time_ns() // 1000)
    where = directory.path / "elb_access"
    print(
        f"access log files of the run's time: {delivery.files} ({delivery.bytes} bytes) in {where}"
    )
    if delivery.may_be_more:
        _complain("the last files may not have been delivered yet; fetch again later", surroundings)
    return 0


def _console() -> Console:
    return Console(markup=False, emoji=False, highlight=False)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m analysis", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    reconcile = commands.add_parser("reconcile", help="judge a run from its files")
    _add_judging(reconcile)

    snapshot = commands.add_parser("snapshot", help="read the database into the run directory")
    when = snapshot.add_mutually_exclusive_group(required=True)
    when.add_argument("--before", action="store_true", help="as the run starts")
    when.add_argument("--after", action="store_true", help="when its load has ended")
    _add_settling(snapshot)

    finish = commands.add_parser("finish", help="close the evidence of a run, and judge it")
    _add_judging(finish)
    _add_settling(finish)
    finish.add_argument(
        "--parquet", action="store_true", help="write the large tables as Parquet too, beside CSV"
    )

    story = commands.add_parser("story", help="tell what became of one attempt, in order")

    fetch = commands.add_parser(
        "fetch-access-log", help="copy an ALB's access log of the run's time from S3"
    )

    for command in (reconcile, snapshot, finish, story, fetch):
        command.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a folder under runs/")
    story.add_argument("attempt_id", metavar="ATTEMPT_ID", help="as in reconciliation.csv")
    fetch.add_argument("uri", metavar="S3_URI", help="s3://bucket/prefix, as the load balancer has")
    return parser


def _add_judging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--method",
        default=Method.AUTO.value,
        choices=[each.value for each in Method],
        help="how rows and attempts are brought together",
    )
    parser.add_argument(
        "--fail-on",
        default=FailOn.DATA.value,
        choices=[each.value for each in FailOn],
        help="what the exit code speaks of",
    )
    parser.add_argument(
        "--late-window",
        type=_seconds,
        metavar="S",
        help="assume that no transaction began later than S seconds after its client saw the "
        "attempt end: rows without keys can then be told apart better (unless given, a row may "
        "have been made at any time after its attempt was sent)",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= _SECONDS_AT_MOST:
        message = f"{text!r} is no number of seconds"
        raise argparse.ArgumentTypeError(message)
    return seconds


def _add_settling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settle-limit",
        type=_seconds,
        default=SETTLE_LIMIT_S,
        metavar="S",
        help="how long to wait for open transactions and living load generators (%(default)g s)",
    )


if __name__ == "__main__":
    sys.exit(main())
