"""One run from its beginning to its exit code: in the lab, on AWS, or on somebody else's shop."""

import signal
import sys
from collections.abc import Mapping
from dataclasses import replace

from infra.aws.stack import Stack
from infra.lab.settings import settings_from
from infra.launch.checks import check_command, check_lab
from infra.launch.commands import UNDECIDED, say
from infra.launch.lab_in_use import LabInUse, lab_environment
from infra.launch.locust_run import ENDING, LocustRun
from infra.launch.request import Launch
from infra.launch.unread_orders import read_before_it_goes


def run(launch: Launch, environment: Mapping[str, str]) -> int:
    """Run what was asked for; returns the exit code of the run."""
    if launch.target == "lab":
        return _run_in_lab(launch, {**launch.lab, **environment})
    # Before there is anything for it to load.
    check_command(launch.command(launch.host or "http://127.0.0.1:1"), environment)
    if launch.target == "aws" and not launch.host:
        return _run_on_aws(launch, environment)
    return LocustRun(launch, launch.host, environment).run()


def _run_in_lab(launch: Launch, environment: Mapping[str, str]) -> int:
    settings = settings_from(environment)  # a bad setting is said here, not in the lab's log
    faults = [name for name, _, _ in launch.faults()]
    source = "LOCUST_ARGS" if launch.own_templates() else str(launch.experiment)
    # The lab has a database of its own.
    without_database = {key: each for key, each in environment.items() if key != "DATABASE_URL"}
    check_command(launch.command("http://127.0.0.1:1"), without_database)
    lab = LabInUse(
        environment,
        is_special=bool(launch.lab),
        check=lambda: check_lab(settings, faults, source=source),
        progress=lambda text: say(f"lab: {text}"),
    )
    try:
        say(f"lab: up, load balancer at {lab.state.host}")
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
        read = read_before_it_goes(locust.run_directories, inside, say=say)
        # What was undecided for want of the orders may be judged now; any other code stands.
        return read if code == UNDECIDED and read in {0, 1} else code
    finally:
        for number in ENDING:  # the run is over, and its exit code stands
            signal.signal(number, signal.SIG_IGN)
        lab.close()


def _run_on_aws(launch: Launch, environment: Mapping[str, str]) -> int:
    """Run against what Terraform has made, once it is clear what that is and that it is meant."""
    from infra.aws.briefing import brief, confirm  # noqa: PLC0415  (boto3 takes its time)

    stack = Stack.read(environment)
    told = {**environment, **stack.environment(environment)}
    faults = launch.faults()
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
        say=say,
    )
    arguments = (*stack.arguments(), *launch.arguments)
    # A name may be that of several labs in the account, an id is not.
    if not launch.own_templates():
        ids = {each.wanted: each.id for each in briefing.templates}
        named = ",".join(f"{ids[name]}{at}{when}" for name, at, when in faults)
        arguments = (f"--fis-template={named}", *arguments)
    locust = LocustRun(replace(launch, arguments=arguments), stack.host, told)
    code = locust.run()
    if locust.run_directories:
        say(
            "the load balancer's log arrives within some minutes: python -m analysis "
            f"fetch-access-log {locust.run_directories[-1]} {stack.access_log_uri}"
        )
    return code
