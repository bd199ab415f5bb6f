"""What was asked of make: the experiment, where it runs, and what goes on to Locust."""

import argparse
import shlex
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import ROOT
from infra.lab.errors import BadSetting
from infra.lab.settings import VARIABLES
from infra.launch.checks import FLAGS
from infra.near_miss import did_you_mean

EXPERIMENTS = ROOT / "infra" / "experiments"
TARGETS = ("lab", "aws", "external")
DEFAULT_EXPERIMENT = "stop-one-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What was asked for, from the Makefile's variables."""

    is_web: bool
    experiment: Path
    target: str
    host: str
    workers: int
    arguments: tuple[str, ...]
    # The FIS templates that the experiment names: `NAME`, or `NAME@WHEN, ...`.
    fis_template: str
    # What the experiment needs of its lab: variables of infra.lab.settings.
    lab: Mapping[str, str]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, is_web: bool) -> "Launch":
        """Read EXPERIMENT, TARGET, HOST, WORKERS and what goes on to Locust.

        Raises:
            BadSetting: naming the variable, its value, and what it may be.

        """
        target = environment.get("TARGET") or "lab"
        if target not in TARGETS:
            meant = did_you_mean(target, TARGETS)
            raise BadSetting(f"TARGET={target}: {meant}choose one of {', '.join(TARGETS)}")
        host = environment.get("HOST") or ""
        if target == "external" and not host:
            raise BadSetting(f"TARGET={target} needs HOST=http://... (the load balancer's address)")
        if target == "lab" and host:
            raise BadSetting("HOST is for TARGET=aws or external: the lab has its own address")
        experiment = _experiment(environment.get("EXPERIMENT") or DEFAULT_EXPERIMENT)
        content = _content(experiment)
        return cls(
            is_web=is_web,
            experiment=experiment,
            fis_template=content.get("tool", {}).get("locust", {}).get("fis-template", ""),
            lab=_lab_settings(content, experiment),
            target=target,
            host=host,
            workers=_whole(environment, "WORKERS", 1),
            arguments=_locust_arguments(environment),
        )

    def command(self, host: str) -> list[str]:
        """Locust's command line; secrets go by the environment alone."""
        command = [sys.executable, "-m", "locust", "--config", str(self.experiment)]
        command += ["--target", self.target, "--host", host]
        if self.target == "external":
            # Somebody else's shop: no fault of ours unless LOCUST_ARGS names one.
            command += ["--fis-template="]
        command += self.arguments
        if self.is_web:
            command += ["--headful", "--web-host", "127.0.0.1"]
        if self.workers > 1:
            command += ["--processes", str(self.workers)]
        return command

    def own_templates(self) -> list[str]:
        """The FIS templates that LOCUST_ARGS names: instead of the experiment's, not beside them.

        Raises:
            BadSetting: Locust would not take the argument.

        """
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        parser.add_argument("--fis-template", action="append", default=[])
        try:
            found: list[str] = parser.parse_known_args(list(self.arguments))[0].fis_template
        except argparse.ArgumentError as error:
            raise BadSetting(f"LOCUST_ARGS: {error}") from None
        return found

    def faults(self) -> list[tuple[str, str, str]]:
        """The FIS templates of the run: name, `@` or nothing, and when; none is possible."""
        named = ",".join(self.own_templates()) or self.fis_template
        faults = (each.partition("@") for each in named.split(",") if each.strip())
        return [(name.strip(), at, when) for name, at, when in faults]


def _experiment(name: str) -> Path:
    path = EXPERIMENTS / f"{name}.toml"
    if "/" in name or not path.is_file():
        known = sorted(each.stem for each in EXPERIMENTS.glob("*.toml"))
        raise BadSetting(
            f"EXPERIMENT={name}: {did_you_mean(name, known)}there is none in infra/experiments "
            f"(known: {', '.join(known)})"
        )
    return path


def _content(experiment: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(experiment.read_text(encoding="utf-8"))
    except ValueError as error:  # of TOML, or of its encoding
        raise BadSetting(
            f"{experiment}: {error}; save it as TOML in UTF-8 without a mark"
        ) from None


def _lab_settings(content: Mapping[str, Any], experiment: Path) -> dict[str, str]:
    wanted = {f"LAB_{name.upper()}": str(value) for name, value in content.get("lab", {}).items()}
    for name in wanted.keys() - VARIABLES.keys():
        raise BadSetting(
            f"{experiment}: [lab] has no setting {name.removeprefix('LAB_').lower()}; "
            f"{did_you_mean(name, VARIABLES)}".strip(" ;")
        )
    return wanted


def _whole(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise BadSetting(f"{name}={text}: must be a whole number of at least 1")
    return int(text)


def _locust_arguments(environment: Mapping[str, str]) -> tuple[str, ...]:
    arguments: list[str] = []
    for variable, flag in FLAGS.items():
        if environment.get(variable):
            arguments += [flag, environment[variable]]
    try:
        arguments += shlex.split(environment.get("LOCUST_ARGS") or "")
    except ValueError as error:
        raise BadSetting(f"LOCUST_ARGS: {error}") from None
    return tuple(arguments)
