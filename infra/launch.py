"""`make chaos-load` and `make web`: raise what is needed, run Locust, see that it is judged.

Locust itself makes the run directory and judges the run at its end. What is left to us is
what Locust cannot do: raise the lab, pass signals on, and finish the run of a Locust that died.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from infra.aws.errors import AwsError
from infra.aws.stack import Stack
from infra.checks import FLAGS, check_command, check_lab, check_make_variables
from infra.lab.cloud_names import CREDENTIALS, REGION
from infra.lab.errors import BadSetting, LabError
from infra.lab.near_miss import did_you_mean
from infra.lab.processes import Guard
from infra.lab.proxies import go_past_proxies
from infra.lab.raising import KEPT, PrivateLab
from infra.lab.settings import VARIABLES, settings_from
from infra.lab.state import LabFolder, LabState
from infra.last_reading import read_before_it_goes

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "infra" / "experiments"
TARGETS = ("lab", "aws", "external")
UNDECIDED, BAD_ARGUMENT, OUR_FAULT = 2, 64, 70
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What Locust may take to end its users, close the evidence and judge it.
CLOSE_LIMIT_S = 600.0
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
    def from_environment(cls, environment: Mapping[str, str], *, is_web: bool) -> Launch:
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


def _say(text: str) -> None:
    print(f"chaos-load: {text}", file=sys.stderr, flush=True)


class LocustRun:
    """One Locust process, and what has to be done when it has ended."""

    def __init__(
        self,
        launch: Launch,
        host: str,
        environment: Mapping[str, str],
        *,
        holds: Sequence[int] = (),
    ) -> None:
        """`holds` are the open files by which the lab is ours: it has to outlive Locust."""
        self._command = launch.command(host)
        self._environment = dict(environment)
        self._holds = holds
        self._process: subprocess.Popen[bytes] | None = None
        # Signals may come before Locust is there to receive them.
        self._early_signal: int | None = None

    def run(self) -> int:
        """Run Locust to its end and return the run's exit code."""
        # The guard: if we are killed, Locust is told to stop, which takes it a while.
        with Guard() as guard, self._signals_passed_on():
            folder = Path(tempfile.mkdtemp(prefix="chaos-run-"))
            guard.remove_folder(folder)
            run_file = folder / "runs"
            self._environment["CHAOS_RUN_FILE"] = str(run_file)
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                # A Ctrl-C comes from us, once; from the terminal as well it would come twice.
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                pass_fds=self._holds,
            )
            guard.add_group(self._process.pid, signal.SIGTERM, grace_s=CLOSE_LIMIT_S)
            if self._early_signal is not None:
                self._process.send_signal(self._early_signal)
            code = self._process.wait()
            guard.drop_group(self._process.pid)
            self.run_directories = _lines(run_file)
            return self._finish(code) if code < 0 else code

    def _finish(self, code: int) -> int:
        """Judge the evidence of a Locust that was killed."""
        name = signal.Signals(-code).name
        if not self.run_directories:
            _say(f"Locust was ended by {name} before a run began")
            return OUR_FAULT
        directory = self.run_directories[-1]
        _say(f"Locust was ended by {name}; its evidence is judged all the same")
        stop_faults(self._environment, "--run", directory)
        finished = subprocess.run(
            [sys.executable, "-m", "analysis", "finish", directory],
            cwd=ROOT,
            env=self._environment,
            check=False,
            start_new_session=True,
        )
        return finished.returncode if finished.returncode >= 0 else OUR_FAULT

    @contextlib.contextmanager
    def _signals_passed_on(self) -> Iterator[None]:
        def pass_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
            # To Locust a closed terminal is a request to end like any other.
            wanted = signal.SIGTERM if number == signal.SIGHUP else number
            if self._process is None:
                self._early_signal = wanted
            elif self._process.poll() is None:
                self._process.send_signal(wanted)

        before = {
            number: signal.signal(number, pass_on)
            for number in ENDING
            if signal.getsignal(number) != signal.SIG_IGN  # nohup, or a job in the background
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return []


class _LabInUse:
    """The kept lab if it is up and free, else a private one on addresses of its own."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        is_special: bool,
        check: Callable[[], None],
        progress: Callable[[str], None],
    ) -> None:
        """`check` is called before one is raised."""
        self._private: PrivateLab | None = None
        self._lock = None
        kept = LabFolder(KEPT)
        state = kept.read() if kept.is_supervised() else None
        if state is not None and is_special:
            progress("the experiment wants a lab of its own: raising one more")
        elif state is not None and not state.is_well:
            progress("the lab that is up is not well (`make lab-status`): raising one more")
        elif state is not None:
            lock = kept.use_lock()
            if lock.try_take():
                self._lock, self.folder, self.state = lock, kept, state
                progress("using the lab that is up (`make lab-status` shows it)")
                return
            progress("another run is using the lab that is up: raising one more")
        check()
        self._private = PrivateLab(environment, progress=progress)
        self.folder, self.state = self._private.folder, self._private.state

    @property
    def is_kept(self) -> bool:
        """Whether it stays up when we have gone, and with it its database."""
        return self._private is None

    @property
    def holds(self) -> tuple[int, ...]:
        """The open files that keep it ours: whoever inherits one keeps it too."""
        holder = self._private or self._lock
        return () if holder is None else (holder.fileno(),)

    def close(self) -> None:
        """Give it back, or take it down."""
        if self._private is not None:
            self._private.close()
        if self._lock is not None:
            self._lock.close()


def lab_environment(state: LabState) -> dict[str, str]:
    """What makes boto3 and the analysis talk to the lab instead of AWS and Aurora."""
    return {
        "AWS_ENDPOINT_URL": state.aws_endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        **CREDENTIALS,
        "DATABASE_URL": state.database_url,
    }


def _fis_templates(arguments: Sequence[str]) -> list[str]:
    """Those that LOCUST_ARGS name: they are instead of the experiment's, and not beside them."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--fis-template", action="append", default=[])
    try:
        found: list[str] = parser.parse_known_args(list(arguments))[0].fis_template
    except argparse.ArgumentError as error:
        raise BadSetting(f"LOCUST_ARGS: {error}") from None
    return found


def _faults(launch: Launch) -> list[tuple[str, str, str]]:
    """The FIS templates of the run: name, `@` or nothing, and when; none is possible."""
    asked = _fis_templates(launch.arguments)
    named = ",".join(asked) if asked else launch.fis_template
    faults = (each.partition("@") for each in named.split(",") if each.strip())
    return [(name.strip(), at, when) for name, at, when in faults]


def _check_arguments(launch: Launch, environment: Mapping[str, str]) -> None:
    """See whether Locust will take them, before there is anything for it to load."""
    told = dict(environment)
    if launch.target == "lab":  # it has a database of its own
        told.pop("DATABASE_URL", None)
    check_command(launch.command(launch.host or "http://127.0.0.1:1"), told)


def _run_on_aws(launch: Launch, environment: Mapping[str, str]) -> int:
    """Run against what Terraform has made, once it is clear what that is and that it is meant."""
    from infra.aws.briefing import brief, confirm  # noqa: PLC0415  (boto3 takes its time)

    stack = Stack.read(environment)
    told = {**environment, **stack.environment(environment)}
    faults = _faults(launch)
    briefing = brief(
        stack,
        templates=[name for name, _, _ in faults],
        profile=told.get("AWS_PROFILE", ""),
    )
    is_asked = sys.stdin.isatty() and sys.stderr.isatty()
    confirm(
        briefing,
        is_told_yes=environment.get("YES") == "1",
        ask=input if is_asked else None,
        say=_say,
    )
    arguments = (*stack.arguments(), *launch.arguments)
    if not _fis_templates(
        launch.arguments
    ):  # a name may be that of several labs in the account, an id is not
        ids = {each.wanted: each.id for each in briefing.templates}
        named = ",".join(f"{ids[name]}{at}{when}" for name, at, when in faults)
        arguments = (f"--fis-template={named}", *arguments)
    locust = LocustRun(replace(launch, arguments=arguments), stack.host, told)
    code = locust.run()
    if locust.run_directories:
        _say(
            "the load balancer's log arrives within some minutes: python -m analysis "
            f"fetch-access-log {locust.run_directories[-1]} {stack.access_log_uri}"
        )
    return code


def stop_faults(environment: Mapping[str, str], *arguments: str) -> int:
    """Stop the experiments that dead runs have left; returns 0 where none is left."""
    command = [sys.executable, "-m", "locustfiles", "fis-stop", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=dict(environment), check=False, start_new_session=True
    ).returncode


def _stack_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Where Terraform made the lab; nothing where it cannot say: the environment may."""
    try:
        return Stack.read(environment).environment(environment)
    except AwsError:
        return {}


def stop_leftovers(environment: Mapping[str, str]) -> int:
    """`make fis-stop`: in the lab that is up, or in the AWS account of the environment."""
    arguments = ["--all"] if environment.get("ALL") else []
    if (environment.get("TARGET") or "lab") != "lab":
        return stop_faults({**environment, **_stack_environment(environment)}, *arguments)
    kept = LabFolder(KEPT)
    state = kept.read() if kept.is_supervised() else None
    if state is None:
        _say("no lab is up, so nothing is left in one; TARGET=aws looks into an account")
        return 0
    return stop_faults({**environment, **lab_environment(state)}, *arguments)


def run(launch: Launch, environment: Mapping[str, str]) -> int:
    """Run what was asked for; returns the exit code of the run."""
    if launch.target != "lab":
        _check_arguments(launch, environment)
        if launch.target == "aws" and not launch.host:
            return _run_on_aws(launch, environment)
        return LocustRun(launch, launch.host, environment).run()
    environment = {**launch.lab, **environment}
    settings = settings_from(environment)  # a bad setting is said here, not in the lab's log
    faults = [name for name, _, _ in _faults(launch)]
    source = "LOCUST_ARGS" if _fis_templates(launch.arguments) else str(launch.experiment)
    _check_arguments(launch, environment)
    lab = _LabInUse(
        environment,
        is_special=bool(launch.lab),
        check=lambda: check_lab(settings, faults, source=source),
        progress=lambda text: _say(f"lab: {text}"),
    )
    try:
        _say(f"lab: up, load balancer at {lab.state.host}")
        outside = {key: value for key, value in environment.items() if not key.startswith("AWS_")}
        inside = {
            **outside,
            **lab_environment(lab.state),
            "CHAOS_ACCESS_LOG": str(lab.folder.access_log),
        }
        locust = LocustRun(launch, lab.state.host, inside, holds=lab.holds)
        code = locust.run()
        if lab.is_kept:
            return code
        read = read_before_it_goes(locust.run_directories, inside, say=_say)
        # What was undecided for want of the orders may be judged now; any other code stands.
        return read if code == UNDECIDED and read in {0, 1} else code
    finally:
        for number in ENDING:  # the run is over, and its exit code stands
            signal.signal(number, signal.SIG_IGN)
        lab.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m infra.launch headless|web|fis-stop`; the Makefile's variables around it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words not in (["headless"], ["web"], ["fis-stop"]):
        print("usage: python -m infra.launch headless|web|fis-stop", file=sys.stderr)
        return BAD_ARGUMENT
    # Ctrl-C and the like while the lab comes up: take down what there is, and go.
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    go_past_proxies(os.environ)
    try:
        if words == ["fis-stop"]:
            return stop_leftovers(os.environ)
        check_make_variables(os.environ)
        return run(Launch.from_environment(os.environ, is_web=words == ["web"]), os.environ)
    except (LabError, AwsError) as error:
        _say(str(error))
        return BAD_ARGUMENT if isinstance(error, (BadSetting, AwsError)) else OUR_FAULT
    except KeyboardInterrupt:
        _say("interrupted before the run began; nothing is left running")
        return 128 + signal.SIGINT
    except Exception:  # noqa: BLE001  (Python's own exit code for it, 1, is that of a broken run)
        traceback.print_exc()
        return OUR_FAULT


if __name__ == "__main__":
    sys.exit(main())
