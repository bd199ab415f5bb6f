"""What FIS can do here: GetAction, ListActions, GetTargetResourceType, ListTargetResourceTypes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One action or resource type; `summary` is what lists show of `details`."""

    id: str
    summary: Mapping[str, Any]
    details: Mapping[str, Any]


def action_entries(kinds: Mapping[str, ActionKind]) -> list[Entry]:
    """All actions, by id."""
    return [_action(action_id, kinds[action_id]) for action_id in sorted(kinds)]


def resource_type_entries(resource_types: Mapping[str, ResourceType]) -> list[Entry]:
    """All resource types, by id."""
    return [_resource_type(resource_types[each]) for each in sorted(resource_types)]


def find(entries: list[Entry], wanted: str, *, what: str) -> Entry:
    """The one with this id.

    Raises:
        NotFound: naming `what` it was.

    """
    for entry in entries:
        if entry.id == wanted:
            return entry
    raise NotFound(f"{what} with ID {wanted} not found.")


def _action(action_id: str, kind: ActionKind) -> Entry:
    summary: dict[str, Any] = {
        "id": action_id,
        "arn": f"arn:aws:fis:{REGION}:{ACCOUNT}:action/{action_id}",
        "description": _ACTIONS.get(action_id, action_id),
        "tags": {},
    }
    if kind.targets:
        summary["targets"] = {key: {"resourceType": of} for key, of in kind.targets.items()}
    parameters = {
        name: {"description": _PARAMETERS.get(name, name), "required": name in kind.required}
        for name in [*kind.required, *kind.optional]
    }
    return Entry(id=action_id, summary=summary, details=summary | {"parameters": parameters})


def _resource_type(kind: ResourceType) -> Entry:
    summary = {"resourceType": kind.id, "description": kind.description}
    parameters = {
        name: {"description": kind.parameter_descriptions[name], "required": False}
        for name in kind.parameters
    }
    return Entry(id=kind.id, summary=summary, details=summary | {"parameters": parameters})
