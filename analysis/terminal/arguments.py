"""What the commands can be asked: all of their arguments, apart from what takes long to import."""

import argparse
import re
from pathlib import Path
from typing import Any, NoReturn

from analysis.evidence.errors import UsageError
from analysis.evidence.run import DATABASE_WAIT_S, SETTLE_LIMIT_S
from analysis.judging.finding_records import Method
from analysis.verdict.judgement import FailOn

WAIT_BEFORE_S = 10.0  # for a database, as a run starts: somebody is there to help
_SECONDS_AT_MOST = 1e9  # more than a run lasts, and few enough to reckon with
_CONFIDENCE = 0.99


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return the parser of all commands; UsageError is what it raises."""
    parser = _Parser(prog="python -m analysis", description=description)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    of_run = _add_commands_on_runs(commands)
    _add_comparison(commands.add_parser("compare", help="compare runs, or statistics of Locust"))
    runs = commands.add_parser("runs", help="list runs with their verdicts")
    runs.add_argument("root", type=Path, nargs="?", default=Path("runs"), metavar="FOLDER")
    check = commands.add_parser(
        "check-hypotheses", help="say whether an experiment's hypotheses could be scored"
    )
    check.add_argument("experiment", type=Path, metavar="FILE", help="a TOML file")

    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    for on_run in of_run:
        on_run.add_argument("run_dir", metavar="RUN_DIR", help="a folder under runs/")
    commands.choices["story"].add_argument(
        "attempt_id", metavar="ATTEMPT_ID", help="as in reconciliation.csv"
    )
    commands.choices["fetch-access-log"].add_argument(
        "uri", metavar="S3_URI", help="s3://bucket/prefix, as the load balancer has"
    )
    return parser


def _add_commands_on_runs(commands: Any) -> list[argparse.ArgumentParser]:
    reconcile = commands.add_parser("reconcile", help="judge a run from its files")
    _add_judging(reconcile)
    reconcile.add_argument(
        "--engine",
        choices=["duckdb", "spark"],
        default="duckdb",
        help="what sets the undisputed attempts of a large run apart: DuckDB, here, or Spark, "
        "which reads Parquet where it lies; RUN_DIR may then be s3://bucket/prefix/RUN",
    )

    snapshot = commands.add_parser("snapshot", help="read the database into the run directory")
    when = snapshot.add_mutually_exclusive_group(required=True)
    when.add_argument("--before", action="store_true", help="as the run starts")
    when.add_argument("--after", action="store_true", help="when its load has ended")
    _add_settling(snapshot)

    finish = commands.add_parser("finish", help="close the evidence of a run, and judge it")
    _add_judging(finish)
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
    return [reconcile, snapshot, finish, story, report, fetch]


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
    parser.add_argument(
        "--no-report",
        dest="draws",
        action="store_false",
        help="leave report.html as it is, unless it shows another judgement: then it is removed",
    )


def _add_memory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--memory",
        type=_memory,
        metavar="SIZE",
        help="what judging a large run may take before it goes on on the disk, for instance 2GB "
        "(half of the machine's)",
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
        f"{WAIT_BEFORE_S:g} s at most)",
    )


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `compare`."""
    what = "a run directory, or a PREFIX of Locust's PREFIX_stats.csv"
    parser.add_argument("base", type=Path, metavar="BASE", help=f"what is compared with: {what}")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the same, one or more")
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="CONDITION",
        help="exit with 1 if it is met, with 2 if noise may be all there is to it: "
        "'p95(POST /orders) > 1.2x', 'failures > 5%%', 'committed > 0', 'window(client) > 30s'",
    )
    parser.add_argument(
        "--confidence",
        type=_share,
        default=_CONFIDENCE,
        metavar="SHARE",
        help="of the intervals (%(default)g); what has no change calls one a change so rarely",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the comparison as CSV")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write it as a page")


def _share(text: str) -> float:
    share = float(text)
    if not 0.5 <= share <= 0.99:  # noqa: PLR2004 -- beyond that the draws are too few
        raise argparse.ArgumentTypeError(f"{text!r} is no confidence; give one from 0.5 to 0.99")
    return share
