"""What the lab's account has that experiments may target, by resource type.

A resource's description has the form of the answer of the API action that FIS itself filters by
(DescribeInstances and so on), as far as the lab has something to say there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.lab.cloud.moto_server import backend
from infra.lab.cloud.names import ACCOUNT, REGION


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A resource as target resolution sees it."""

    id: str
    arn: str
    tags: Mapping[str, str]
    description: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Of a target: paths in the description, any of which must have one of the named values."""

    description: str
    paths: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """A kind of resource: where they are found, and how a template may name them."""

    id: str
    description: str
    arn_prefix: str
    candidates: Callable[[], Iterable[Candidate]]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def _instances() -> Iterator[Candidate]:
    for reservation in backend("ec2").reservations.values():
        for instance in reservation.instances:
            state = instance._state  # noqa: SLF001
            yield Candidate(
                id=instance.id,
                arn=f"{_EC2}:instance/{instance.id}",
                tags=_tags(instance.get_tags()),
                description={
                    "InstanceId": instance.id,
                    "ImageId": instance.image_id,
                    "InstanceType": instance.instance_type,
                    "State": {"Name": state.name, "Code": str(state.code)},
                    "Placement": {"AvailabilityZone": instance.placement.zone},
                    "SubnetId": instance.subnet_id,
                    "VpcId": instance.vpc_id,
                    "PrivateIpAddress": instance.private_ip,
                    "SecurityGroups": [
                        # moto keeps some of them by id alone.
                        {"GroupId": getattr(each, "id", each)}
                        for each in instance.security_groups
                    ],
                },
            )


def _subnets() -> Iterator[Candidate]:
    for of_zone in backend("ec2").subnets.values():
        for subnet in of_zone.values():
            yield Candidate(
                id=subnet.id,
                arn=f"{_EC2}:subnet/{subnet.id}",
                tags=_tags(subnet.get_tags()),
                description={
                    "SubnetId": subnet.id,
                    "VpcId": subnet.vpc_id,
                    "CidrBlock": subnet.cidr_block,
                    "State": subnet.state,
                    "AvailabilityZone": subnet.availability_zone,
                    "AvailabilityZoneId": subnet.availability_zone_id,
                },
            )


def _clusters() -> Iterator[Candidate]:
    databases = backend("rds").databases
    for cluster in backend("rds").clusters.values():
        members = cluster.db_cluster_members
        yield Candidate(
            id=cluster.db_cluster_identifier,
            arn=cluster.db_cluster_arn,
            tags=_tags(cluster.tags, "Key", "Value"),
            description={
                "DBClusterIdentifier": cluster.db_cluster_identifier,
                "Engine": cluster.engine,
                "Status": cluster.status,
                "AvailabilityZones": cluster.availability_zones,
                "DBClusterMembers": members,
                # No part of DescribeDBClusters: what FIS finds out about the writer.
                "WriterAvailabilityZone": [
                    databases[each["DBInstanceIdentifier"]].availability_zone
                    for each in members
                    if each["IsClusterWriter"] and each["DBInstanceIdentifier"] in databases
                ],
            },
        )


def _databases() -> Iterator[Candidate]:
    for database in backend("rds").databases.values():
        yield Candidate(
            id=database.db_instance_identifier,
            arn=database.db_instance_arn,
            tags=_tags(database.tags, "Key", "Value"),
            description={
                "DBInstanceIdentifier": database.db_instance_identifier,
                "DBClusterIdentifier": database.db_cluster_identifier,
                "DBInstanceStatus": database.status,
                "Engine": database.engine,
                "AvailabilityZone": database.availability_zone,
            },
        )


def _tags(tags: Iterable[Mapping[str, str]], key: str = "key", value: str = "value") -> Any:
    return {each[key]: each.get(value) or "" for each in tags}


_EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
_RDS = f"arn:aws:rds:{REGION}:{ACCOUNT}"
_ZONES = "a comma separated list of Availability Zone identifiers, or all"
_INSTANCE = ResourceType(
    id="aws:ec2:instance",
    description="An Amazon EC2 instance",
    arn_prefix=f"{_EC2}:instance/",
    candidates=_instances,
)
_SUBNET = ResourceType(
    id="aws:ec2:subnet",
    description="An Amazon VPC subnet",
    arn_prefix=f"{_EC2}:subnet/",
    candidates=_subnets,
    parameters={
        "availabilityZoneIdentifier": Parameter(
            paths=("AvailabilityZone", "AvailabilityZoneId"),
            description="The code or id of the Availability Zone that contains the target subnets",
        ),
        "vpc": Parameter(paths=("VpcId",), description="The VPC that contains the target subnets"),
    },
)
_CLUSTER = ResourceType(
    id="aws:rds:cluster",
    description="An Amazon Aurora DB cluster",
    arn_prefix=f"{_RDS}:cluster:",
    candidates=_clusters,
    parameters={
        "writerAvailabilityZoneIdentifiers": Parameter(
            paths=("WriterAvailabilityZone",), description=f"The zones of the writer: {_ZONES}"
        )
    },
)
_DATABASE = ResourceType(
    id="aws:rds:db",
    description="An Amazon RDS DB instance",
    arn_prefix=f"{_RDS}:db:",
    candidates=_databases,
    parameters={
        "availabilityZoneIdentifiers": Parameter(
            paths=("AvailabilityZone",), description=f"The zones of the DB instance: {_ZONES}"
        )
    },
)
RESOURCE_TYPES: Mapping[str, ResourceType] = {
    each.id: each for each in (_INSTANCE, _SUBNET, _CLUSTER, _DATABASE)
}
