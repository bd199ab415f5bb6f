"""What FIS can do here: GetAction, ListActions, GetTargetResourceType, ListTargetResourceTypes."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.lab.cloud.names import ACCOUNT, REGION
from infra.lab.fis.action import ActionKind
from infra.lab.fis.errors import NotFound
from infra.lab.fis.targets.resource_types import ResourceType

# As AWS describes them; an action of our own is described by its id.
_ACTIONS: Mapping[str, str] = {
    "aws:ec2:stop-instances": "Stop the specified EC2 instances.",
    "aws:ec2:terminate-instances": "Terminate the specified EC2 instances.",
    "aws:ec2:reboot-instances": "Reboot the specified EC2 instances.",
    "aws:fis:wait": "Wait for the specified duration. Stop condition monitoring will continue "
    "during this time.",
    "aws:network:disrupt-connectivity": "Disrupt the connectivity of the specified subnets.",
    "aws:rds:failover-db-cluster": "Failover a DB Cluster to one of the replicas.",
    "aws:rds:reboot-db-instances": "Reboot the specified DB instances.",
    "aws:ssm:send-command": "Run the specified SSM document.",
}
_PARAMETERS: Mapping[str, str] = {
    "duration": "The duration (ISO 8601).",
    "startInstancesAfterDuration": "The time to wait before restarting the instances "
    "(ISO 8601 duration).",
}
# An action or a resource type, as FIS describes it.
Entry = dict[str, Any]


def action_entry(action_id: str, kind: ActionKind) -> Entry:
    """As GetAction describes it."""
    of_targets = {key: {"resourceType": of} for key, of in kind.targets.items()}
    return {
        "id": action_id,
        "arn": f"arn:aws:fis:{REGION}:{ACCOUNT}:action/{action_id}",
        "description": _ACTIONS.get(action_id, action_id),
        "tags": {},
        **({"targets": of_targets} if of_targets else {}),
        "parameters": {
            name: {"description": _PARAMETERS.get(name, name), "required": name in kind.required}
            for name in [*kind.required, *kind.optional]
        },
    }


def resource_type_entry(kind: ResourceType) -> Entry:
    """As GetTargetResourceType describes it."""
    return {
        "resourceType": kind.id,
        "description": kind.description,
        "parameters": {
            name: {"description": each.description, "required": False}
            for name, each in kind.parameters.items()
        },
    }


def summaries(entries: Sequence[Entry]) -> list[Entry]:
    """What lists show of them."""
    return [{key: each[key] for key in each if key != "parameters"} for each in entries]


def find(entries: Mapping[str, Entry], wanted: str, *, what: str) -> Entry:
    """The one with this id.

    Raises:
        NotFound: naming `what` it was.

    """
    if wanted not in entries:
        raise NotFound(f"{what} with ID {wanted} not found.")
    return entries[wanted]
