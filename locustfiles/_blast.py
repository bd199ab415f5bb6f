"""What a FIS template would hit now, by name, and whether enough would be left."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from locustfiles._fleet import Clients, Fleet

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, InstanceTypeDef
    from mypy_boto3_fis.type_defs import ExperimentTemplateTargetTypeDef, ExperimentTemplateTypeDef

__all__ = ["MIN_HEALTHY", "describe_blast", "why_refuse"]

MIN_HEALTHY = 2
_VERBS = {
    "aws:ec2:stop-instances": "stop",
    "aws:ec2:terminate-instances": "terminate",
    "aws:ec2:reboot-instances": "reboot",
}


def describe_blast(
    clients: Clients, template: "ExperimentTemplateTypeDef", fleet: Fleet | None
) -> str:
    """Say in one line what the template would do to whom. Raises AWS_ERRORS."""
    parts = []
    targets = template.get("targets", {})
    for action in template.get("actions", {}).values():
        action_id = action.get("actionId", "")
        verb = _VERBS.get(action_id, f"run {action_id} on")
        names = action.get("targets", {}).values()
        parts += [f"would {verb} {_whom(clients, targets[name])}" for name in names]
    healthy = "unknown" if fleet is None else str(len(fleet.healthy()))
    return "; ".join([*(parts or ["would hit nothing"]), f"healthy targets {healthy}"])


def why_refuse(template: "ExperimentTemplateTypeDef", fleet: Fleet | None) -> str:
    """Say why the fault must not happen now; empty when it may. Raises AWS_ERRORS."""
    kinds = {target.get("resourceType") for target in template.get("targets", {}).values()}
    if fleet is None:
        if "aws:ec2:instance" not in kinds:
            return ""
        return "it is not known how many targets are healthy; name the group with --target-group"
    healthy = fleet.healthy()
    if len(healthy) < MIN_HEALTHY:
        return f"only {len(healthy)} healthy ({', '.join(healthy) or 'none'}), needs {MIN_HEALTHY}"
    return ""


def _whom(clients: Clients, target: "ExperimentTemplateTargetTypeDef") -> str:
    mode = target.get("selectionMode", "ALL")
    if target.get("resourceType") != "aws:ec2:instance":
        arns = target.get("resourceArns", [])
        return f"{mode} of {', '.join(arns) or target.get('resourceType', 'nothing')}"
    instances = sorted(
        f"{instance['InstanceId']} ({instance.get('Placement', {}).get('AvailabilityZone', '?')})"
        for instance in _candidates(clients, target)
    )
    return f"{_how_many(mode, len(instances))} of {', '.join(instances) or 'no instance'}"


def _how_many(mode: str, found: int) -> int:
    """FIS rounds a share down; a count is an upper bound."""
    number = re.search(r"\d+", mode)
    if number is None:
        return found
    if mode.startswith("PERCENT"):
        return found * int(number[0]) // 100
    return min(found, int(number[0]))


def _candidates(
    clients: Clients, target: "ExperimentTemplateTargetTypeDef"
) -> "Iterator[InstanceTypeDef]":
    chosen: list[FilterTypeDef] = [
        {"Name": f"tag:{key}", "Values": [value]}
        for key, value in target.get("resourceTags", {}).items()
    ]
    ids = [arn.rpartition("/")[2] for arn in target.get("resourceArns", [])]
    if ids:
        chosen.append({"Name": "instance-id", "Values": ids})
    for page in clients.ec2.get_paginator("describe_instances").paginate(Filters=chosen):
        for reservation in page["Reservations"]:
            for instance in reservation.get("Instances", []):
                if _passes(instance, target):
                    yield instance


def _passes(instance: "InstanceTypeDef", target: "ExperimentTemplateTargetTypeDef") -> bool:
    """Apply FIS's filters, which are paths into what EC2 says of an instance."""
    for wanted in target.get("filters", []):
        value: Any = instance
        for step in wanted.get("path", "").split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value not in wanted.get("values", []):
            return False
    return True
