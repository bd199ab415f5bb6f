"""Before a run on AWS: who and where we are, what would be hit, and what it costs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.aws.errors import AwsError
from infra.aws.stack import Stack

# docs/aws.md has the arithmetic: list prices of us-east-1, November 2026.
FIS_USD_PER_ACTION_MINUTE = 0.10
IDLE_USD_PER_HOUR = 0.24
_LIMITS = Config(
    connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 5, "mode": "standard"}
)
_HINTS = {
    "ExpiredToken": "get new credentials",
    "ExpiredTokenException": "get new credentials",
    "AccessDenied": "attach the policy that output run_policy_arn names",
    "AccessDeniedException": "attach the policy that output run_policy_arn names",
    "UnauthorizedOperation": "attach the policy that output run_policy_arn names",
    "NoCredentialsError": "log in first, and name the profile in AWS_PROFILE",
    "ResourceNotFoundException": "has `make aws-up` been run since?",
}


class NotFit(AwsError):
    """The account is not in a state in which a fault may be injected, or cannot be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """An FIS template; `wanted` is what it was asked for by, its id or its tag Name."""

    wanted: str
    id: str
    name: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """What was found. `healthy` and `candidates` are instance ids."""

    caller: str
    account: str
    region: str
    host: str
    templates: tuple[Template, ...]
    candidates: tuple[str, ...]
    healthy: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Say it, a line each."""
        yield f"account {self.account}, {self.region}, as {self.caller}"
        yield f"load goes to {self.host}"
        hit = ", ".join(self.candidates) or "nothing that is there now"
        for each in self.templates:
            what = f"FIS template {each.name or each.id} ({each.id})"
            yield f"{what}: {', '.join(each.actions)}"
        yield f"servers that bear a target's tags: {hit}"
        yield f"healthy behind the load balancer: {', '.join(self.healthy) or 'none'}"
        cost = f"about {FIS_USD_PER_ACTION_MINUTE:.2f} USD a minute of each action"
        yield f"cost: {cost}, and {IDLE_USD_PER_HOUR:.2f} USD an hour while it is up (docs/aws.md)"


def brief(stack: Stack, *, templates: Sequence[str], profile: str = "") -> Briefing:
    """Ask AWS about a run with these templates, each given by its id or its tag Name.

    NotFit if it is another account, if there is no such template, or if no server is healthy.
    """
    with _translated("who we are"):
        aws = boto3.Session(region_name=stack.region, profile_name=profile or None)
        client: Any = partial(aws.client, config=_LIMITS)
        caller = client("sts").get_caller_identity()
    if caller["Account"] != stack.account_id:
        raise NotFit(
            f"these credentials are of account {caller['Account']}, and Terraform made the lab in "
            f"{stack.account_id}: AWS_PROFILE names another profile"
        )
    with _translated("the FIS template"):
        found = [_template(client("fis"), stack, each) for each in templates]
    with _translated("the targets' health"):
        health = client("elbv2").describe_target_health(TargetGroupArn=stack.target_group_arn)[
            "TargetHealthDescriptions"
        ]
    healthy = sorted(
        each["Target"]["Id"] for each in health if each["TargetHealth"]["State"] == "healthy"
    )
    with _translated("the instances"):
        candidates = _tagged(client("ec2"), stack)
    if not healthy:
        raise NotFit("no server is healthy: look at the target group before you break anything")
    return Briefing(
        caller=caller["Arn"],
        account=caller["Account"],
        region=stack.region,
        host=stack.host,
        templates=tuple(found),
        candidates=tuple(candidates),
        healthy=tuple(healthy),
    )


def confirm(
    briefing: Briefing,
    *,
    is_told_yes: bool,
    ask: Callable[[str], str] | None,
    say: Callable[[str], None],
) -> None:
    """Say what will happen, and ask unless told so already; NotFit unless the answer is yes."""
    for line in briefing.lines():
        say(line)
    if is_told_yes:
        return
    if ask is None:
        raise NotFit("nobody is there to be asked: YES=1 says that this is meant")
    if ask("Inject this fault into this account? Only `yes` does: ").strip() != "yes":
        raise NotFit("not confirmed; nothing was sent and nothing was touched")


def _template(fis: Any, stack: Stack, wanted: str) -> Template:
    """The template with this id or this tag Name; the lab's own goes before others of its name."""
    own = fis.get_experiment_template(id=stack.fis_experiment_template_id)["experimentTemplate"]
    if wanted in {own["id"], own.get("tags", {}).get("Name")}:
        return _as_template(wanted, own)
    pages = fis.get_paginator("list_experiment_templates").paginate()
    named = [
        each["id"]
        for page in pages
        for each in page["experimentTemplates"]
        if wanted in {each["id"], each.get("tags", {}).get("Name")}
    ]
    if len(named) != 1:
        raise NotFit(
            f"{len(named)} FIS templates are named {wanted!r}; Terraform made "
            f"{own.get('tags', {}).get('Name')!r} alone: EXPERIMENT=stop-one-server uses that"
        )
    return _as_template(wanted, fis.get_experiment_template(id=named[0])["experimentTemplate"])


def _as_template(wanted: str, found: Mapping[str, Any]) -> Template:
    return Template(
        wanted=wanted,
        id=found["id"],
        name=found.get("tags", {}).get("Name", ""),
        actions=tuple(sorted({each["actionId"] for each in found["actions"].values()})),
    )


def _tagged(ec2: Any, stack: Stack) -> Sequence[str]:
    """Running instances that bear all tags of a target."""
    filters = [
        {"Name": "instance-state-name", "Values": ["running"]},
        *({"Name": f"tag:{key}", "Values": [value]} for key, value in stack.target_tags.items()),
    ]
    return sorted(
        instance["InstanceId"]
        for page in ec2.get_paginator("describe_instances").paginate(Filters=filters)
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    )


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    # A wrong AWS_ENDPOINT_URL is a ValueError.
    except (BotoCoreError, ClientError, ValueError) as error:
        code = (
            str(error.response.get("Error", {}).get("Code"))
            if isinstance(error, ClientError)
            else type(error).__name__
        )
        why = " ".join(str(error).split())[:300]
        hint = _HINTS.get(code, "nothing was sent and nothing was touched")
        raise NotFit(f"AWS does not tell {what}: {why}; {hint}") from None
