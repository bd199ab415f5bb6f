"""What a FIS template would hit now, by name, and how much of the fleet at worst."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.faults.fis.targets import Clients, Fleet

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, InstanceTypeDef
    from mypy_boto3_fis.type_defs import ExperimentTemplateTargetTypeDef, ExperimentTemplateTypeDef

INSTANCE, SUBNET = "aws:ec2:instance", "aws:ec2:subnet"
_VERBS = {
    "aws:ec2:stop-instances": "stop",
    "aws:ec2:terminate-instances": "terminate",
    "aws:ec2:reboot-instances": "reboot",
    "aws:network:disrupt-connectivity": "cut off",
    "aws:rds:failover-db-cluster": "fail over",
    "aws:rds:reboot-db-instances": "reboot",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What may be hit. `instances` are those that it is or holds; `tags` None for not known."""

    id: str
    about: str = ""
    tags: Mapping[str, str] | None = None
    instances: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.id} ({self.about})" if self.about else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One target of a template: who of `candidates` is hit is open, but `most` of them are."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    selected_by: Mapping[str, str]
    candidates: tuple[Resource, ...]
    mode: str
    most: int

    def worst(self, healthy: frozenset[str]) -> frozenset[str]:
        """Return the healthy instances that are gone if it hits those where it hurts most."""
        by_loss = sorted(
            self.candidates, key=lambda each: len(each.instances & healthy), reverse=True
        )
        return frozenset().union(*(each.instances & healthy for each in by_loss[: self.most]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Blast:
    """All that a template would hit. `healthy` is None where the load balancer is not known."""

    hits: tuple[Hit, ...]
    healthy: frozenset[str] | None

    def describe(self) -> str:
        """Say in one line what would be done to whom."""
        parts = [f"would {verb} {_whom(hit)}" for hit in self.hits for verb in hit.verbs]
        healthy = "unknown" if self.healthy is None else str(len(self.healthy))
        return "; ".join([*(parts or ["would hit nothing"]), f"healthy targets {healthy}"])

    @property
    def ids(self) -> frozenset[str]:
        """Return everything that may be hit, and the instances in it."""
        found = [each for hit in self.hits for each in hit.candidates]
        return frozenset(each.id for each in found).union(*(each.instances for each in found))

    @property
    def touches_servers(self) -> bool:
        """Whether instances may be hit, by themselves or by the subnet they are in."""
        return any(hit.kind in {INSTANCE, SUBNET} for hit in self.hits)

    @property
    def left(self) -> int | None:
        """How many targets are healthy after the worst of it; None for not known."""
        if self.healthy is None:
            return None
        gone = sum(len(hit.worst(self.healthy)) for hit in self.hits)
        return max(0, len(self.healthy) - gone)


def find_blast(
    clients: Clients, template: "ExperimentTemplateTypeDef", fleet: Fleet | None
) -> Blast:
    """Look up what the template would hit. Raises AWS_ERRORS."""
    verbs: dict[str, list[str]] = {}
    for action in template.get("actions", {}).values():
        action_id = action.get("actionId", "")
        verb = _VERBS.get(action_id, f"run {action_id} on")
        for name in action.get("targets", {}).values():
            verbs.setdefault(name, []).append(verb)
    targets = template.get("targets", {})
    hits = [
        _hit(clients, name, targets[name], tuple(dict.fromkeys(found)))
        for name, found in verbs.items()
        if name in targets
    ]
    healthy = None if fleet is None else frozenset(fleet.healthy())
    return Blast(hits=tuple(hits), healthy=healthy)


def _hit(
    clients: Clients, name: str, target: "ExperimentTemplateTargetTypeDef", verbs: tuple[str, ...]
) -> Hit:
    kind, mode = str(target.get("resourceType", "")), str(target.get("selectionMode", "ALL"))
    match kind:
        case "aws:ec2:instance":
            found = [_of_instance(each) for each in _instances(clients, target)]
        case "aws:ec2:subnet":
            found = list(_subnets(clients, target))
        case _:
            found = [Resource(id=arn) for arn in target.get("resourceArns", [])]
    found.sort(key=lambda each: each.id)
    return Hit(
        name=name,
        kind=kind,
        verbs=verbs,
        selected_by=target.get("resourceTags", {}),
        candidates=tuple(found),
        mode=mode,
        most=_how_many(mode, len(found)),
    )


def _whom(hit: Hit) -> str:
    names = ", ".join(map(str, hit.candidates))
    if hit.kind in {INSTANCE, SUBNET}:
        nobody = "no instance" if hit.kind == INSTANCE else "no subnet"
        return f"{hit.most} of {names or nobody}"
    tags = ", ".join(f"{key}={value}" for key, value in hit.selected_by.items())
    return f"{hit.mode} of {names or f'{hit.kind} {tags}'.strip() or 'nothing'}"


def _how_many(mode: str, found: int) -> int:
    """FIS rounds a share down; a count is an upper bound."""
    number = re.search(r"\d+", mode)
    if number is None:
        return found
    if mode.startswith("PERCENT"):
        return found * int(number[0]) // 100
    return min(found, int(number[0]))


def _of_instance(instance: "InstanceTypeDef") -> Resource:
    tags = _tags(instance.get("Tags", []))
    zone = instance.get("Placement", {}).get("AvailabilityZone", "?")
    about = ", ".join(filter(None, (tags.get("Name", ""), zone)))
    name = instance["InstanceId"]
    return Resource(id=name, about=about, tags=tags, instances=frozenset({name}))


def _tags(tags: Any) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in tags}


def _filters(target: "ExperimentTemplateTargetTypeDef", id_filter: str) -> "list[FilterTypeDef]":
    chosen: list[FilterTypeDef] = [
        {"Name": f"tag:{key}", "Values": [value]}
        for key, value in target.get("resourceTags", {}).items()
    ]
    ids = [arn.rpartition("/")[2] for arn in target.get("resourceArns", [])]
    if ids:
        chosen.append({"Name": id_filter, "Values": ids})
    return chosen


def _instances(
    clients: Clients, target: "ExperimentTemplateTargetTypeDef"
) -> "Iterator[InstanceTypeDef]":
    chosen = _filters(target, "instance-id")
    for instance in _described(clients, chosen):
        if _passes(instance, target):
            yield instance


def _subnets(clients: Clients, target: "ExperimentTemplateTargetTypeDef") -> Iterator[Resource]:
    chosen = _filters(target, "subnet-id")
    asked = target.get("parameters", {})
    for name, key in (("availability-zone-id", "availabilityZoneIdentifier"), ("vpc-id", "vpc")):
        if key in asked:
            is_name = key != "vpc" and not re.fullmatch(r"[a-z]+\d+-az\d+", asked[key])
            chosen.append(
                {"Name": "availability-zone" if is_name else name, "Values": [asked[key]]}
            )
    for page in clients.ec2.get_paginator("describe_subnets").paginate(Filters=chosen):
        for subnet in page["Subnets"]:
            name = subnet.get("SubnetId", "")
            inside: list[FilterTypeDef] = [{"Name": "subnet-id", "Values": [name]}]
            tags = _tags(subnet.get("Tags", []))
            zone = subnet.get("AvailabilityZone", "?")
            yield Resource(
                id=name,
                about=", ".join(filter(None, (tags.get("Name", ""), zone))),
                tags=tags,
                instances=frozenset(each["InstanceId"] for each in _described(clients, inside)),
            )


def _described(clients: Clients, chosen: "list[FilterTypeDef]") -> "Iterator[InstanceTypeDef]":
    for page in clients.ec2.get_paginator("describe_instances").paginate(Filters=chosen):
        for reservation in page["Reservations"]:
            yield from reservation.get("Instances", [])


def _passes(instance: "InstanceTypeDef", target: "ExperimentTemplateTargetTypeDef") -> bool:
    """Apply FIS's filters, which are paths into what EC2 says of an instance."""
    for wanted in target.get("filters", []):
        value: Any = instance
        for step in wanted.get("path", "").split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value not in wanted.get("values", []):
            return False
    return True
