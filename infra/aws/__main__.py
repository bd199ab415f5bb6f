"""`python -m infra.aws pack|plan|up|down|tunnel`: packs the shop, calls Terraform, opens the way.

What Terraform asks, it asks: nothing here says yes for anybody. TF_VAR_... and TF_CLI_ARGS are
Terraform's own ways to be told more.
"""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from infra.aws.errors import AwsError
from infra.aws.pack import LOAD, SHOP, pack, sha256
from infra.aws.stack import Stack
from infra.aws.terraform import HERE, terraform
from infra.aws.tunnel import hold_tunnel

BAD_ARGUMENT, OUR_FAULT = 64, 70
WHO_AM_I = "https://checkip.amazonaws.com"
ALLOWED = "TF_VAR_allowed_cidrs"
# Nobody comes in through a load balancer that is being taken down.
NOBODY = '["192.0.2.0/32"]'
COMMANDS = {"plan": "plan", "up": "apply", "down": "destroy"}


def own_address() -> str:
    """The address from which AWS sees us, as a list of one CIDR block; AwsError."""
    try:
        with urllib.request.urlopen(WHO_AM_I, timeout=10) as answer:
            address = ip_address(answer.read(100).decode().strip())
    except (OSError, ValueError) as error:
        raise AwsError(
            f"{WHO_AM_I} does not tell our address ({error}): say who may reach the load "
            f"balancer, as {ALLOWED}='[\"192.0.2.7/32\"]'"
        ) from error
    if address.version != 4:  # noqa: PLR2004
        raise AwsError(f"{WHO_AM_I} sees us at {address}: the load balancer has IPv4 alone")
    return f'["{address}/32"]'


def call(command: str, environment: Mapping[str, str]) -> int:
    """Run Terraform's `plan`, `apply` or `destroy`; returns its exit code."""
    program = terraform()
    for contents in (SHOP, LOAD):
        path = pack(contents)
        print(f"aws: packed {path.relative_to(HERE.parents[1])} ({sha256(path)[:12]})")
    told = dict(environment)
    if ALLOWED not in told:
        told[ALLOWED] = NOBODY if command == "destroy" else own_address()
    for words in (["init", "-input=false"], [command]):
        code = subprocess.run([program, *words], cwd=HERE, env=told, check=False).returncode
        if code:
            break
    if code and command == "destroy":
        print(
            "aws: a bucket that is not empty stays, and so does what it holds. To lose it:\n"
            "  aws s3 rm --recursive s3://BUCKET   for each that is named above, then again",
            file=sys.stderr,
        )
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """One word: pack, plan, up, down or tunnel."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) != 1 or words[0] not in {"pack", "tunnel", *COMMANDS}:
        print("usage: python -m infra.aws pack|plan|up|down|tunnel", file=sys.stderr)
        return BAD_ARGUMENT
    try:
        if words[0] == "pack":
            for contents in (SHOP, LOAD):
                path = pack(contents)
                print(f"{sha256(path)}  {path}")
            return 0
        if words[0] == "tunnel":
            return hold_tunnel(Stack.read(os.environ), os.environ)
        return call(COMMANDS[words[0]], os.environ)
    except AwsError as error:
        print(f"aws: {error}", file=sys.stderr)
        return OUR_FAULT


if __name__ == "__main__":
    sys.exit(main())
