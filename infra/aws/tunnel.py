"""A way from this machine to the database, through Systems Manager: no port is open for it."""

import json
import shutil
import subprocess
from collections.abc import Mapping

from infra.aws.errors import AwsError
from infra.aws.stack import Stack

LOCAL_PORT = 15432
DOCUMENT = "AWS-StartPortForwardingSessionToRemoteHost"


class NoTunnel(AwsError):
    """There is nothing to go through, or no program that could."""


def tunnel_command(stack: Stack, *, port: int = LOCAL_PORT) -> list[str]:
    """The AWS CLI's command line; NoTunnel where the lab was made without one."""
    if not stack.tunnel_instance_id:
        raise NoTunnel("the lab has no tunnel: TF_VAR_has_tunnel=true make aws-up makes one")
    parameters = {
        "host": [stack.aurora_endpoint],
        "portNumber": [str(stack.aurora_port)],
        "localPortNumber": [str(port)],
    }
    return [
        *("aws", "ssm", "start-session", "--region", stack.region),
        *("--target", stack.tunnel_instance_id, "--document-name", DOCUMENT),
        *("--parameters", json.dumps(parameters)),
    ]


def hold_tunnel(stack: Stack, environment: Mapping[str, str]) -> int:
    """Keep it open until Ctrl-C; returns the AWS CLI's exit code."""
    command = tunnel_command(stack)
    for program, where in {
        "aws": "https://aws.amazon.com/cli/",
        "session-manager-plugin": "https://docs.aws.amazon.com/systems-manager/latest/userguide/"
        "session-manager-working-with-install-plugin.html",
    }.items():
        if shutil.which(program, path=environment.get("PATH")) is None:
            raise NoTunnel(f"{program} is not installed: {where}")
    print(
        f"aws: while this runs, DATABASE_URL=postgresql://USER:PASSWORD@127.0.0.1:{LOCAL_PORT}/"
        f"{stack.database_name}?sslmode=require leads to Aurora; user and password are in the "
        f"secret {stack.database_secret_arn}",
        flush=True,
    )
    told = {**environment, **stack.environment(environment)}
    try:
        return subprocess.run(command, env=told, check=False).returncode
    except KeyboardInterrupt:
        return 0
