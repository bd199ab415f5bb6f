"""FIS experiments that dead runs have left behind are stopped: `make fis-stop`, or a run's end."""

from collections.abc import Mapping

from infra.aws.errors import AwsError
from infra.aws.stack import Stack
from infra.lab.supervision.lab_folder import LabFolder
from infra.lab.supervision.raising import KEPT
from infra.launch.commands import run_command, say
from infra.launch.lab_in_use import lab_environment


def stop_faults(environment: Mapping[str, str], *arguments: str) -> int:
    """Stop the experiments that dead runs have left; returns 0 where none is left."""
    return run_command("locustfiles", "fis-stop", *arguments, environment=environment)


def stop_left_faults(environment: Mapping[str, str]) -> int:
    """`make fis-stop`: in the lab that is up, or in the AWS account of the environment."""
    arguments = ["--all"] if environment.get("ALL") else []
    if (environment.get("TARGET") or "lab") != "lab":
        return stop_faults({**environment, **_stack_environment(environment)}, *arguments)
    state = LabFolder(KEPT).read_live()
    if state is None:
        say("no lab is up, so nothing is left in one; TARGET=aws looks into an account")
        return 0
    return stop_faults({**environment, **lab_environment(state)}, *arguments)


def _stack_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Where Terraform made the lab; nothing where it cannot say: the environment may."""
    try:
        return Stack.read(environment).environment(environment)
    except AwsError:
        return {}
