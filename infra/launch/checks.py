"""What can be found wrong before anything is raised: variables, Locust's arguments, templates."""

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence

from infra import ROOT
from infra.lab.errors import BadSetting, LabError
from infra.lab.fis.templates.provided import templates
from infra.lab.processes.ports import refuse_taken_port
from infra.lab.settings import LabSettings
from infra.launch.commands import BAD_ARGUMENT
from infra.near_miss import did_you_mean, near_misses

# Variables of the Makefile, and the arguments of Locust that they become.
FLAGS = {
    "USERS": "--users",
    "SPAWN_RATE": "--spawn-rate",
    "RUN_TIME": "--run-time",
    "RUN_DIR": "--run-dir",
}
_OTHERS = ("ALL", "DATABASE_URL", "EXPERIMENT", "HOST", "LOCUST_ARGS", "TARGET", "WORKERS", "YES")
_WAYS_OUT = {
    "--web-port": 'LOCUST_ARGS="--web-port 8090"',
    "--master-bind-port": 'LOCUST_ARGS="--master-bind-port 5600"',
}
_LOCUSTS_HEAD = re.compile(r"^(locust: error|chaos-shop): (argument [^:]*: )?")


def check_make_variables(environment: Mapping[str, str]) -> None:
    """See that nothing was given to make under a name that is nearly ours; BadSetting."""
    # make escapes blanks and nothing else.
    words = re.split(r"(?<!\\)\s+", environment.get("MAKEFLAGS") or "")
    names = (word.partition("=")[0] for word in words if re.match(r"\w+=", word))
    for name, meant in near_misses(names, (*FLAGS, *_OTHERS)):
        raise BadSetting(f"{name}: there is no such variable; did you mean {meant}?")


def check_command(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Have our side of Locust say whether this command line can become a run; BadSetting.

    Nothing is asked: neither the host, nor AWS, nor the database.
    """
    arguments = command[command.index("locust") + 1 :]
    checked = subprocess.run(
        [sys.executable, "-m", "locustfiles", "check", *arguments],
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        check=False,
    )
    if not checked.returncode:
        return
    lines = [line for line in checked.stderr.splitlines() if line.strip()]
    if checked.returncode != BAD_ARGUMENT:
        raise LabError("the arguments could not be checked: " + " | ".join(lines[-3:]))
    raise BadSetting(_in_our_words(lines[-1] if lines else "a wrong argument", environment))


def _in_our_words(line: str, environment: Mapping[str, str]) -> str:
    """Locust's line about an argument, headed by the variable that brought it."""
    text = _LOCUSTS_HEAD.sub("", line)
    own = environment.get("LOCUST_ARGS") or ""
    for flag, way_out in _WAYS_OUT.items():
        if flag in line and "in use" in line:
            return f"{text}, as in {way_out}"
    for variable, flag in FLAGS.items():
        value = environment.get(variable)
        if not value or flag in own:
            continue
        if flag in line or (variable == "RUN_DIR" and value in line):
            return f"{variable}={value}: {text}"
    flags = re.findall(r"--[a-z][a-z-]*", line)
    return f"LOCUST_ARGS: {text}" if any(flag in own for flag in flags) else text


def check_lab(settings: LabSettings, names: Iterable[str], *, source: str) -> None:
    """See that a new lab can be raised so, and will have these FIS templates; BadSetting."""
    known = sorted(templates(fault_s=1))
    for name in names:
        if name not in known:
            raise BadSetting(
                f"{source}: no FIS template of the lab is called {name!r}; "
                f"{did_you_mean(name, known)}There are {', '.join(known)}"
            )
    refuse_taken_port(settings.load_balancer_port, "LAB_LOAD_BALANCER_PORT")
