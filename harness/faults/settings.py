"""What may go wrong in a run, when, and what keeps it from doing harm: arguments and settings."""

import re
from argparse import ArgumentParser, Namespace, _AppendAction
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.arguments.values import ArgumentGroup, checked, seconds
from harness.faults.abort import Abort, parse_aborts
from harness.faults.commands.secrets import masked
from harness.faults.guards import GUARDS, Guards
from harness.faults.moment import FireAt, parse_fire_at

# Whoever reaches the web UI may post any option: these stay as whoever started Locust gave them.
FROZEN = (
    *("database_url", "fault_command", "heal_command", "fault_shell", "fault_command_limit"),
    *("guard_tag", "guard_off", "min_healthy", "expect_account", "baseline_errors"),
    *("heal_after", "fis_dry_run"),
)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A fault: a template's id or name, or a command line, and when."""

    what: str
    at: FireAt


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSettings:
    """Everything asked for about faults. Command lines may hold secrets."""

    templates: tuple[Planned, ...]
    commands: tuple[Planned, ...]
    heals: tuple[str, ...]
    heal_after_s: float | None
    in_shell: bool
    command_limit_s: float
    aborts: tuple[Abort, ...]
    steady_limit_s: float
    guards: Guards
    is_dry_run: bool

    @classmethod
    def from_options(cls, options: Namespace) -> "FaultSettings":
        """Read Locust's parsed options; ValueError where one makes no sense."""
        at = parse_fire_at(options.fis_at)
        return cls(
            templates=_templates(options.fis_template or "", at),
            commands=tuple(_command(each, at) for each in options.fault_command or () if each),
            heals=tuple(each for each in options.heal_command or () if each),
            heal_after_s=seconds(options.heal_after) if options.heal_after else None,
            in_shell=bool(options.fault_shell),
            command_limit_s=seconds(options.fault_command_limit),
            aborts=parse_aborts(options.abort_if or ""),
            steady_limit_s=seconds(options.steady_limit),
            guards=Guards(
                account=options.expect_account or "",
                tag=_tag(options.guard_tag),
                min_healthy=_whole(options.min_healthy),
                errors_max=_share(options.baseline_errors),
                off=_guards(options.guard_off or ""),
            ),
            is_dry_run=bool(options.fis_dry_run),
        )

    @property
    def planned(self) -> tuple[Planned, ...]:
        """All faults, templates first."""
        return (*self.templates, *self.commands)

    @property
    def needs_pulse(self) -> bool:
        """Whether the load has to be watched while it goes on."""
        return bool(self.planned or self.aborts)

    @property
    def template_names(self) -> str:
        """The templates in a line."""
        return ", ".join(each.what for each in self.templates)

    def check(self, *, run_time_s: float | None, users: int | None) -> None:
        """Raise BadArgument for a moment that never comes."""
        for each in self.planned:
            each.at.check(run_time_s=run_time_s, users=users)

    def to_keep(self) -> dict[str, object]:
        """Return what run.json says of them, without secrets."""
        first = self.planned[0].at if self.planned else None
        return {
            "fis_template": self.template_names,
            "fis_at_s": first.seconds if first else None,
            "fis_at_share": first.share if first else None,
            "fault_plan": [
                {"what": masked(each.what), "at": str(each.at)} for each in self.planned
            ],
            "heal_command": [masked(each) for each in self.heals],
            "abort_if": [each.text for each in self.aborts],
            "guard_tag": "=".join(self.guards.tag),
            "min_healthy": self.guards.min_healthy,
            "expect_account": self.guards.account,
            "baseline_errors": self.guards.errors_max,
            "guard_off": sorted(self.guards.off),
        }


class _Joined(_AppendAction):
    """Several values, also those of a TOML list, as one text that the web UI can show."""

    separator = ","

    def __call__(
        self,
        parser: ArgumentParser,  # noqa: ARG002 -- as argparse calls it
        namespace: Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002 -- as argparse calls it
    ) -> None:
        given = getattr(namespace, f"_given_{self.dest}", ())
        given = (*given, *([str(values)] if values else []))
        setattr(namespace, f"_given_{self.dest}", given)
        setattr(namespace, self.dest, self.separator.join(given))


class _JoinedConditions(_Joined):
    separator = ";"


def add_fault_arguments(parser: ArgumentParser) -> None:
    """Add the arguments; each may come from its environment variable or a config file too."""
    group = ArgumentGroup(parser, "Fault")
    _add_moments(group)
    _add_commands(group)
    _add_guards(group)


def _add_moments(group: ArgumentGroup) -> None:
    group.add_text(
        "--fis-template",
        "<id or name>[@<when>]",
        "FIS experiment template to start: its id (EXT...) or its tag `Name`. Several, each "
        "when it is to come, with commas between them: stop-one-server@30s, failover@2m",
        action=_Joined,
    )
    group.add(
        "--fis-at",
        "--fault-at",
        type=checked(parse_fire_at, keep=True),
        default="30s",
        metavar="<when>",
        help="When the fault begins: after a time (30s, 1m30s), a share of the run time (40 and a "
        "percent sign), with so many users (users:200) or when load is steady (steady:10s)",
    )
    group.add_text(
        "--abort-if",
        "<condition>",
        "Stop the experiment, and the run, on a condition: `error_rate > 0.5 for 20s`. "
        "Several with `;` between them",
        action=_JoinedConditions,
        type=checked(parse_aborts, keep=True),
    )
    group.add_seconds(
        "--steady-limit",
        120.0,
        "With --fault-at steady:10s: how long to wait for it, before the run goes on without "
        "a fault.",
    )


def _add_commands(group: ArgumentGroup) -> None:
    """Add what no form shows: whoever reaches the page could run anything."""
    group.hidden.add(
        "--fault-command",
        action="append",
        metavar="<command>",
        help="A command of your own as the fault, at --fault-at, or at its own time: "
        "'60%%: systemctl stop shop'. May be repeated",
    )
    group.hidden.add(
        "--heal-command",
        action="append",
        metavar="<command>",
        help="What undoes the fault command; runs however the run ends. May be repeated",
    )
    group.hidden.add(
        "--heal-after",
        type=checked(seconds),
        default=None,
        metavar="<seconds>",
        help="Heal so long after the fault command has ended. Default: at the end of the run",
    )
    limit = "How long a fault command or a heal command may take."
    group.hidden.add_seconds("--fault-command-limit", 60.0, limit)
    group.hidden.add(
        "--fault-shell",
        action="store_true",
        default=False,
        help="Give fault and heal commands to /bin/sh",
    )


def _add_guards(group: ArgumentGroup) -> None:
    texts = {
        "--guard-tag": ("ChaosTarget=true", _tag, "<key=value>", "What every target must bear."),
        "--min-healthy": ("1", _whole, "<targets>", "Healthy targets that must be left, at worst."),
        "--expect-account": ("", _account, "<number>", "The AWS account that it has to be."),
        "--baseline-errors": ("10%", _share, "<share>", "What may fail before the fault."),
        "--guard-off": ("", _guards, "<names>", f"Guards to do without: {', '.join(GUARDS)}."),
    }
    for flag, (default, read, metavar, text) in texts.items():
        told = f" Default: {default.replace('%', '%%')}" if default else ""
        check = checked(read, keep=True)
        group.hidden.add_text(flag, metavar, text + told, type=check, default=default)
    group.hidden.add(
        "--fis-dry-run",
        action="store_true",
        default=False,
        help="Say what the fault would hit, check every guard that needs no load, rehearse it "
        "with FIS's skip-all, and end: 0 it may be, 2 not now, 64 not like this",
    )


def _templates(text: str, default: FireAt) -> tuple[Planned, ...]:
    planned = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, when = part.rpartition("@")
        planned.append(
            Planned(what=name.strip(), at=parse_fire_at(when))
            if name
            else Planned(what=part, at=default)
        )
    return tuple(planned)


def _command(text: str, default: FireAt) -> Planned:
    when, colon, line = text.partition(": ")
    if colon:
        try:
            return Planned(what=line.strip(), at=parse_fire_at(when))
        except ValueError:
            pass  # it is a part of the command
    return Planned(what=text, at=default)


def _tag(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise ValueError(f"{text!r} is no tag; write it as ChaosTarget=true")
    return key, value


def _whole(text: str) -> int:
    if not str(text).isdecimal():
        raise ValueError(f"{text!r} is not a whole number of targets")
    return int(text)


def _account(text: str) -> str:
    if text and not re.fullmatch(r"\d{12}", text):
        raise ValueError(f"{text!r} is not the number of an AWS account, which has 12 digits")
    return text


def _share(text: str) -> float:
    found = _PERCENT.fullmatch(text.strip())
    if found is None or float(found[1]) > 100:  # noqa: PLR2004
        raise ValueError(f"{text!r} is not a share such as 10%")
    return float(found[1]) / 100


def _guards(text: str) -> frozenset[str]:
    names = frozenset(filter(None, (each.strip() for each in text.split(","))))
    unknown = sorted(names - set(GUARDS))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no guard; there are: {', '.join(GUARDS)}")
    return names
