"""The commands: reconcile, snapshot, finish, story, report, compare, runs, fetch-access-log.

What only some of them need, and takes long to import, is imported where it is used.
Exit codes: 0 held, 1 broken, 2 undecided, 64 a wrong argument or unreadable input, 70 our fault.
With --json the result is one JSON document on stdout, and nothing else is there.
"""

import argparse
import errno
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from analysis.closing.progress import Progress
from analysis.compare.arguments import add_comparison
from analysis.database.patience import Patience
from analysis.evidence.errors import (
    EXIT_INTERRUPTED,
    EXIT_OUR_FAULT,
    EXIT_USAGE,
    AnalysisError,
    EvidenceError,
    UsageError,
)
from analysis.evidence.records import format_time
from analysis.evidence.run import DATABASE_WAIT_S, SETTLE_LIMIT_S, parse_run
from analysis.evidence.run_directory import REPORT_FILE, RunDirectory
from analysis.evidence.tables import ORDERS
from analysis.judging.findings import AttemptFinding, Method
from analysis.terminal.listing import list_runs, render_runs
from analysis.terminal.parts import safe
from analysis.terminal.stories import render_story
from analysis.terminal.verdict import render
from analysis.verdict.judgement import judge, judge_again, judge_run, load_evidence
from analysis.verdict.results import write_for_ci
from analysis.verdict.summary import FailOn, Judgement, summarise

_WAIT_BEFORE_S = 10.0
_SECONDS_AT_MOST = 1e9  # more than a run lasts, and few enough to reckon with


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the commands take from the environment; read here and nowhere else."""

    database_url: str
    should_show_traceback: bool
    step_summary: Path | None

    @classmethod
    def read(cls) -> "Surroundings":
        """Read DATABASE_URL, CHAOS_SHOP_DEBUG and, in GitHub's CI, GITHUB_STEP_SUMMARY."""
        step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
        return cls(
            database_url=os.environ.get("DATABASE_URL", ""),
            should_show_traceback=bool(os.environ.get("CHAOS_SHOP_DEBUG")),
            step_summary=Path(step_summary) if step_summary else None,
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
    except OSError as error:
        if not _is_of_the_place(error):
            return _confess(error, surroundings)
        _complain(f"{error.filename or 'the disk'}: {error.strerror}", surroundings)
        return EXIT_USAGE
    except KeyboardInterrupt:
        _complain("interrupted; the same command can be run again", surroundings)
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is ours and has an exit code
        return _confess(error, surroundings)


def _is_of_the_place(error: OSError) -> bool:
    """Whether whoever owns the folder can put it right: rights, space, a folder for a file."""
    return error.filename is not None or error.errno in {errno.ENOSPC, errno.EDQUOT}


def _confess(error: Exception, surroundings: Surroundings) -> int:
    _complain(f"a fault of ours: {type(error).__name__}: {error}", surroundings)
    return EXIT_OUR_FAULT


def _complain(message: str, surroundings: Surroundings) -> None:
    print(f"analysis: {safe(message)}", file=sys.stderr)
    if surroundings.should_show_traceback:
        traceback.print_exc()


def _run(options: argparse.Namespace, surroundings: Surroundings) -> int:
    match options.command:
        case "compare":
            from analysis.compare.command import run_comparison  # noqa: PLC0415 -- see above

            return run_comparison(options, _console(), step_summary=surroundings.step_summary)
        case "runs":
            return _list(options)
        case "check-hypotheses":
            from analysis.verdict.experiment import check_experiment  # noqa: PLC0415 -- see above

            check_experiment(options.experiment)
            return 0
        case _:
            return _run_on(RunDirectory(options.run_dir), options, surroundings)


def _run_on(
    directory: RunDirectory, options: argparse.Namespace, surroundings: Surroundings
) -> int:
    match options.command:
        case "snapshot":
            return _snapshot(directory, options, surroundings)
        case "finish":
            return _finish(directory, options, surroundings)
        case "story":
            return _tell(directory, options)
        case "fetch-access-log":
            return _fetch_access_log(directory, options, surroundings)
        case "report":
            return _report(directory, options, surroundings)
        case _:
            return _reconcile(directory, options, surroundings)


def _snapshot(
    directory: RunDirectory, options: argparse.Namespace, surroundings: Surroundings
) -> int:
    if not surroundings.database_url:
        raise UsageError(
            "DATABASE_URL is not set; a snapshot is taken of the database that it names"
        )
    from analysis.database.snapshot import take_after, take_before  # noqa: PLC0415 -- see above
    from analysis.measures.hypotheses import check_hypotheses  # noqa: PLC0415 -- see above

    if options.before:  # afterwards they could not be corrected
        check_hypotheses(parse_run(directory.read_run()).hypotheses)

    take = take_before if options.before else take_after
    patience = Patience(
        limit_s=_database_wait_s(directory, options),
        tell=lambda text: _complain(text, surroundings),
    )
    with _progress("waiting for the database to come to rest"):
        settle = take(
            directory,
            surroundings.database_url,
            settle_limit_s=options.settle_limit,
            patience=patience,
        )
    if not settle.settled:
        _complain(_unsettled(len(settle.waited_for), settle.waited_s), surroundings)
    for each in settle.idle:
        _complain(f"note: {_idle(each)}", surroundings)
    if options.json and options.command == "snapshot":
        _print_json({"run_id": directory.run_id, "settle": settle.as_json()})
    return 0


def _unsettled(still_open: int, waited_s: float) -> str:
    return f"the database had not come to rest after {waited_s:g} s: {still_open} transactions open"


def _database_wait_s(directory: RunDirectory, options: argparse.Namespace) -> float:
    """Return what was asked for here, or with the run. Before a run somebody is there to help."""
    asked: float | None = options.database_wait
    if asked is None:
        asked = parse_run(directory.read_run()).database_wait_s
    return min(asked, _WAIT_BEFORE_S) if options.before else asked


def _idle(transaction: Mapping[str, object]) -> str:
    name = transaction["application_name"] or "no name"
    return (
        f"a transaction of {name} (pid {transaction['pid']}) is open since "
        f"{transaction['xact_start']}, idle and without a lock to write with: not waited for"
    )


def _finish(
    directory: RunDirectory, options: argparse.Namespace, surroundings: Surroundings
) -> int:
    from analysis.closing.close import complete_part  # noqa: PLC0415 -- see above
    from analysis.closing.gathering import gather_access_log  # noqa: PLC0415 -- see above

    with directory.closing():
        complete_part(directory, limit_s=options.settle_limit)
        try:
            _close(directory, options, surroundings)
        finally:
            # Last, since a load balancer writes late; and in any case, since a lab takes it along.
            gather_access_log(directory)
        _add_parquet(directory, surroundings, every_table=options.parquet)
    return _reconcile(directory, options, surroundings)


def _close(
    directory: RunDirectory, options: argparse.Namespace, surroundings: Surroundings
) -> None:
    from analysis.closing.close import close_evidence  # noqa: PLC0415 -- see above
    from analysis.closing.gathering import gather_ledgers  # noqa: PLC0415 -- see above

    gather_ledgers(directory, limit_s=options.settle_limit)
    close_evidence(directory, limit_s=options.settle_limit)
    if surroundings.database_url and not directory.has_table(ORDERS):
        try:
            options.before = False
            _snapshot(directory, options, surroundings)
        except AnalysisError as error:
            # The clients' side is saved; without the table the verdict is undecided.
            directory.update_run(unread=str(error))
            _complain(f"{error}; put that right and run `finish` again", surroundings)


def _add_parquet(directory: RunDirectory, surroundings: Surroundings, *, every_table: bool) -> None:
    from analysis.closing.close import add_parquet  # noqa: PLC0415 -- see above

    try:
        add_parquet(directory, every_table=every_table)
    except AnalysisError as error:  # what is not there as Parquet is judged from CSV
        _complain(str(error), surroundings)


def _reconcile(
    directory: RunDirectory, options: argparse.Namespace, surroundings: Surroundings
) -> int:
    had_report = directory.has(REPORT_FILE)
    with _progress("judging"):
        judgement = judge_run(
            directory,
            method=Method(options.method),
            late_window_s=options.late_window,
            fail_on=FailOn(options.fail_on),
            memory=options.memory,
        )
    if options.json:
        _print_json(summarise(judgement))
    else:
        render(judgement, _console(), directory=directory.path)
    _tell_all(
        write_for_ci(directory, judgement, step_summary=surroundings.step_summary), surroundings
    )
    if options.draws:
        from analysis.report.drawings import write_report  # noqa: PLC0415 -- see above

        with _progress("drawing the report"):
            complaints = list(write_report(directory, judgement))
        _tell_all(complaints, surroundings)
    elif had_report and not directory.has(REPORT_FILE):
        said = f"{REPORT_FILE} showed another judgement, and is gone; `report` draws it anew"
        _tell_all([said], surroundings)
    return judgement.exit_code


def _report(
    directory: RunDirectory, options: argparse.Namespace, surroundings: Surroundings
) -> int:
    from analysis.report.drawings import write_picture, write_report  # noqa: PLC0415 -- see above

    with _progress("judging"):
        judgement = judge_again(directory, memory=options.memory)
    with _progress("drawing the report"):
        complaints = [*write_for_ci(directory, judgement, step_summary=surroundings.step_summary)]
        complaints += write_report(directory, judgement)
        if options.png:
            complaints += write_picture(directory, judgement)
    if complaints:
        raise EvidenceError(complaints[0])
    if options.json:
        _print_json(summarise(judgement))
    else:
        _console().print(str(directory.path / REPORT_FILE), soft_wrap=True)
    return 0


def _tell_all(complaints: Iterable[str], surroundings: Surroundings) -> None:
    for each in complaints:
        _complain(f"note: {each}", surroundings)


def _tell(directory: RunDirectory, options: argparse.Namespace) -> int:
    attempt_id = options.attempt_id
    judgement = judge(load_evidence(directory, story_of=attempt_id))
    console = _console()
    found = [each for each in judgement.findings.attempts if each.attempt.attempt_id == attempt_id]
    if not found:
        raise UsageError(
            f"no attempt {attempt_id} in {directory.path}; reconciliation.csv lists them all"
        )
    if options.json:
        _print_json({"attempts": [_story(each, judgement) for each in found]})
        return 0
    for finding in found:
        render_story(finding, judgement, console)
    return 0


def _fetch_access_log(
    directory: RunDirectory, options: argparse.Namespace, surroundings: Surroundings
) -> int:
    from analysis.closing.log_delivery import fetch_access_log  # noqa: PLC0415 -- see above

    delivery = fetch_access_log(directory, options.uri, now=time.time_ns() // 1000)
    where = directory.access_log.folder
    found = f"{delivery.files} ({delivery.bytes} bytes)"
    if options.json:
        _print_json({"files": delivery.files, "bytes": delivery.bytes, "folder": str(where)})
    else:
        print(f"access log files of the run's time: {found} in {where}")
    if delivery.may_be_more:
        _complain("the last files may not have been delivered yet; fetch again later", surroundings)
    return 0


def _story(finding: AttemptFinding, judgement: Judgement) -> dict[str, object]:
    steps = [
        {
            "at": None if step.at is None else format_time(step.at),
            "witness": step.witness,
            "said": step.said,
        }
        for step in judgement.story_of(finding)
    ]
    return {
        "attempt_id": finding.attempt.attempt_id,
        "outcome": finding.attempt.outcome.value,
        "verdict": finding.verdict,
        "evidence": finding.evidence.value,
        "steps": steps,
    }


def _list(options: argparse.Namespace) -> int:
    runs = list_runs(options.root)
    if options.json:
        _print_json({"runs": [each.as_json() for each in runs]})
    else:
        render_runs(runs, _console(), root=options.root)
    return 0


def _print_json(content: Mapping[str, object]) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False))


@contextmanager
def _progress(what: str) -> Iterator[None]:
    progress = Progress()
    progress.tell(f"{what} ...")
    try:
        yield
    finally:
        progress.end()


def _console() -> Console:
    return Console(markup=False, emoji=False, highlight=False)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m analysis", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    reconcile = commands.add_parser("reconcile", help="judge a run from its files")
    _add_judging(reconcile)
    _add_drawing(reconcile)

    snapshot = commands.add_parser("snapshot", help="read the database into the run directory")
    when = snapshot.add_mutually_exclusive_group(required=True)
    when.add_argument("--before", action="store_true", help="as the run starts")
    when.add_argument("--after", action="store_true", help="when its load has ended")
    _add_settling(snapshot)

    finish = commands.add_parser("finish", help="close the evidence of a run, and judge it")
    _add_judging(finish)
    _add_drawing(finish)
    _add_settling(finish)
    finish.add_argument(
        "--parquet",
        action="store_true",
        help="write attempts, requests, orders and products as Parquet too, beside CSV (what the "
        "verdict of a large run is drawn from is in any case)",
    )

    story = commands.add_parser("story", help="tell what became of one attempt, in order")

    fetch = commands.add_parser(
        "fetch-access-log", help="copy an ALB's access log of the run's time from S3"
    )

    report = commands.add_parser("report", help="draw report.html of a run, and write junit.xml")
    _add_memory(report)
    report.add_argument("--png", action="store_true", help="its charts as report.png, too")

    add_comparison(commands.add_parser("compare", help="compare runs, or statistics of Locust"))

    runs = commands.add_parser("runs", help="list runs with their verdicts")
    runs.add_argument("root", type=Path, nargs="?", default=Path("runs"), metavar="FOLDER")

    check = commands.add_parser(
        "check-hypotheses", help="say whether an experiment's hypotheses could be scored"
    )
    check.add_argument("experiment", type=Path, metavar="FILE", help="a TOML file")

    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    for command in (reconcile, snapshot, finish, story, report, fetch):
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
    _add_memory(parser)


def _add_memory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--memory",
        type=_memory,
        metavar="SIZE",
        help="what judging a large run may take before it goes on on the disk, for instance 2GB "
        "(half of the machine's)",
    )


def _add_drawing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-report",
        dest="draws",
        action="store_false",
        help="leave report.html as it is, unless it shows another judgement: then it is removed",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= _SECONDS_AT_MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def _memory(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d{0,6}[MG]B", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no size like 800MB or 2GB")
    return text


def _add_settling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settle-limit",
        type=_seconds,
        default=SETTLE_LIMIT_S,
        metavar="S",
        help="how long to wait for open transactions and living load generators (%(default)g s)",
    )
    parser.add_argument(
        "--database-wait",
        type=_seconds,
        metavar="S",
        help="how long to wait for a database that is away: it starts up, fails over, refuses "
        f"connections (as the run was told, or {DATABASE_WAIT_S:g} s; before a run "
        f"{_WAIT_BEFORE_S:g} s at most)",
    )


if __name__ == "__main__":
    sys.exit(main())
