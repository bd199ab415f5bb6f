"""Our command line arguments, beside Locust's own, and the settings they become.

Every one may come from a flag, its environment variable, or an experiment's `[tool.locust]` table.
"""

import difflib
import re
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import NoReturn

from analysis.evidence.errors import EvidenceError
from analysis.evidence.files.new_run import check_new
from harness.arguments.values import ArgumentGroup, checked, seconds
from harness.demand.settings import OrderSettings, add_order_arguments
from harness.errors import EXIT_USAGE, BadArgument
from harness.faults.settings import FaultSettings, add_fault_arguments

_HOST = r"(?:\[[0-9a-f:.]+\]|[^:@/?#,\[\]]*)(?::\d*)?"
# As libpq reads it, whose passwords may hold `#` and `?`. A second `@` makes it anybody's guess.
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?:(?P<user>[^:@/?#]*)(?::[^@/]*)?@)?"
    rf"(?P<place>{_HOST}(?:,{_HOST})*(?:/[^@?#]*)?)(?:[?#][^@]*)?",
    re.IGNORECASE,
)
_EVIDENCE_URI = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9!_.*'()=-]+)*/?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Target(StrEnum):
    """Where the shop runs; `external` is somebody else's, of which AWS is not asked."""

    LAB = "lab"
    AWS = "aws"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one run was asked for, beside Locust's own options. `database_url` is a secret."""

    run_dir: Path | None
    experiment: str
    target: Target
    database_url: str = field(repr=False)
    faults: FaultSettings
    poll_every_s: float
    target_group: str
    access_log: Path | None
    connect_timeout_s: float
    total_timeout_s: float
    orders: OrderSettings
    fail_on: str
    evidence_format: str
    stream_ledger: str
    evidence_uri: str
    database_wait_s: float

    @property
    def watches_aws(self) -> bool:
        """Whether AWS is asked anything at all."""
        return self.target is not Target.EXTERNAL or bool(self.faults.templates)

    def to_keep(self) -> dict[str, object]:
        """Return what run.json says of them, and of the database only where it is."""
        return {
            "connect_timeout_s": self.connect_timeout_s,
            "total_timeout_s": self.total_timeout_s,
            **self.orders.to_keep(),
            "database": without_password(self.database_url),
            "database_wait_s": self.database_wait_s,
            **self.faults.to_keep(),
            "poll_every_s": self.poll_every_s,
            "target_group": self.target_group,
            "fail_on": self.fail_on,
            "evidence_format": self.evidence_format,
            "stream_ledger": self.stream_ledger,
            "evidence_uri": self.evidence_uri,
        }

    def check_run_dir(self) -> None:
        """Raise BadArgument where --run-dir cannot be a new run's directory."""
        if self.run_dir is None:
            return
        try:
            check_new(self.run_dir)
        except (EvidenceError, OSError) as error:
            raise BadArgument(f"the run's directory cannot be made: {error}") from error

    @classmethod
    def from_options(cls, options: Namespace) -> "Settings":
        """Read Locust's parsed options, which the web UI may have changed; BadArgument."""
        try:
            settings = cls(
                run_dir=Path(options.run_dir) if options.run_dir else None,
                experiment=_name(options.experiment or _experiment_of(options.config)),
                target=Target(options.target),
                database_url=options.database_url or "",
                faults=FaultSettings.from_options(options),
                poll_every_s=seconds(options.poll_every),
                target_group=options.target_group or "",
                access_log=Path(options.access_log) if options.access_log else None,
                connect_timeout_s=seconds(options.connect_timeout),
                total_timeout_s=seconds(options.total_timeout),
                orders=OrderSettings.from_options(options),
                fail_on=options.fail_on,
                evidence_format=options.evidence_format,
                stream_ledger=options.stream_ledger,
                evidence_uri=_evidence_uri(options.evidence_uri),
                database_wait_s=seconds(options.database_wait),
            )
        except ValueError as error:
            raise BadArgument(str(error)) from error
        if settings.connect_timeout_s > settings.total_timeout_s:
            raise BadArgument(
                "--connect-timeout is longer than --total-timeout, which it is part of"
            )
        return settings


def add_arguments(parser: ArgumentParser) -> None:
    """Add our arguments to Locust's parser, and let every wrong argument exit with 64."""
    parser.error = partial(_refuse, parser)  # type: ignore[method-assign]
    # In the order in which the web UI's form shows them.
    add_fault_arguments(parser)
    _add_watch_arguments(parser)
    add_order_arguments(parser)
    _add_customer_arguments(parser)
    _add_run_arguments(parser)
    _add_fleet_arguments(parser)


def _add_run_arguments(parser: ArgumentParser) -> None:
    group = ArgumentGroup(parser, "Run and verdict")
    group.hidden.add_text(
        "--run-dir",
        "<dir>",
        "Directory for the run's evidence; must hold none yet. Default: a new one in runs/",
    )
    group.add_text(
        "--experiment",
        "<name>",
        "Name of the experiment. Default: the --config file's, else `load`",
        type=checked(lambda text: _name(text) if text else text),
    )
    group.add_choice(
        "--target",
        [each.value for each in Target],
        "Where the shop runs; with `external`, and no FIS template, AWS is not asked",
        default=Target.EXTERNAL.value,
    )
    group.hidden.add_text(  # the page would hold the password
        "--database-url",
        "<url>",
        "The shop's PostgreSQL, read before and after the run; no verdict without it",
        env_var="DATABASE_URL",
    )
    group.hidden.add_seconds(
        "--database-wait",
        60.0,
        "How long to wait at the end for a database that is away: it starts up, fails over, "
        "refuses connections.",
    )
    group.hidden.add_choice(
        "--fail-on",
        ["data", "hypothesis", "never"],
        "What makes the exit code 1: broken data, a broken hypothesis too, or nothing",
    )
    group.hidden.add_choice(
        "--evidence-format",
        ["csv", "parquet"],
        "With `parquet` the large tables are stored as Parquet too, beside CSV",
    )
    group.hidden.add_text(
        "--access-log",
        "<file>",
        "The load balancer's access log (an ALB's format) where it is written to a file: what "
        "is added to it during the run is kept with the evidence",
    )


def _add_fleet_arguments(parser: ArgumentParser) -> None:
    group = ArgumentGroup(parser, "Workers on other machines")
    group.hidden.add_choice(
        "--stream-ledger",
        ["auto", "always"],
        "Stream ledgers to the master unless a worker proves to share its disk, or always",
    )
    group.hidden.add_text(
        "--evidence-uri",
        "<s3://bucket/prefix>",
        "Upload ledgers there instead of streaming them; for large fleets",
        type=checked(_evidence_uri),
    )


def _add_watch_arguments(parser: ArgumentParser) -> None:
    group = ArgumentGroup(parser, "Watching AWS")
    group.hidden.add_text(
        "--target-group",
        "<arn>",
        "Target group to watch. Default: those of the load balancer that has the host's name",
    )
    how_often = "How often AWS is asked for the state of things."
    group.hidden.add_seconds("--poll-every", 1.0, how_often)


def _add_customer_arguments(parser: ArgumentParser) -> None:
    group = ArgumentGroup(parser, "Customers")
    group.add_seconds("--connect-timeout", 3.0, "How long a request may take to connect.")
    group.add_seconds(
        "--total-timeout", 5.0, "How long a request may take in all; keep --stop-timeout above it."
    )


def without_password(url: str) -> str:
    """Return a URL that may be written down; nothing where a password could be anywhere in it."""
    parts = _URL.fullmatch(url)
    if parts is None:
        return ""
    user = f"{parts['user']}@" if parts["user"] else ""
    return f"{parts['scheme']}{user}{parts['place']}"


def _experiment_of(config: str | None) -> str:
    return Path(config).stem if config else "load"


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} cannot be an experiment's name: letters, digits, dots, dashes only"
        )
    return text


def _evidence_uri(text: str) -> str:
    if text and not _EVIDENCE_URI.fullmatch(text):
        message = "it is not of the form s3://bucket/prefix"  # what it is may hold a secret
        raise ValueError(message)
    return text.rstrip("/")


def _refuse(parser: ArgumentParser, message: str) -> NoReturn:
    _, is_about_flags, words = message.partition("unrecognized arguments: ")
    if is_about_flags:
        message = _unknown_flags(words.split(), list(parser._option_string_actions))  # noqa: SLF001
    sys.stderr.write(f"{parser.prog}: error: {' '.join(message.split())}\n")
    sys.exit(EXIT_USAGE)


def _unknown_flags(words: list[str], known: list[str]) -> str:
    """Name what is no flag, and what was meant; without values, which may be secrets."""
    flags = [word.partition("=")[0] for word in words if word.startswith("-")]
    close = [each for flag in flags for each in difflib.get_close_matches(flag, known, n=1)]
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    return f"unrecognized arguments: {' '.join(flags) or 'a word that belongs to no flag'}{hint}"
