"""What stands behind the shop's host, as AWS tells it: target groups, instances, their group.

Only boto3 here, and nothing that knows whether it talks to AWS or to a lab: AWS_ENDPOINT_URL does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from analysis.evidence.aws_client import aws_clients
from harness.errors import LoadError

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_autoscaling.type_defs import ActivityTypeDef
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_fis import FISClient

AWS_ERRORS = (BotoCoreError, ClientError)


class NoFleet(LoadError):
    """No target group could be found behind the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The AWS clients of one process. Short timeouts: a poll that hangs is a poll that is late."""

    ec2: "EC2Client"
    elb: "ElasticLoadBalancingv2Client"
    autoscaling: "AutoScalingClient"
    fis: "FISClient"
    sts: Any

    @classmethod
    def connect(cls) -> "Clients":
        """Make the clients, which takes CPU: do it before users start. Raises AWS_ERRORS."""
        ec2, elb, autoscaling, fis, sts = aws_clients(
            *("ec2", "elbv2", "autoscaling", "fis", "sts"),
            connect_timeout=2,
            read_timeout=5,
            retries={"total_max_attempts": 2, "mode": "standard"},
        )
        return cls(ec2=ec2, elb=elb, autoscaling=autoscaling, fis=fis, sts=sts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target's health. `reason` is AWS's code, empty when there is nothing to explain."""

    id: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The target groups behind the host and the Auto Scaling groups that fill them.

    `load_balancers` are those in front of them, as their access logs name them.
    """

    clients: Clients
    load_balancers: tuple[str, ...]
    target_groups: tuple[str, ...]
    scaling_groups: tuple[str, ...]
    health_check: dict[str, int]

    def targets(self) -> list[Target]:
        """Return the health of every target."""
        return [
            Target(
                id=description["Target"]["Id"],
                state=str(description["TargetHealth"].get("State", "unavailable")),
                reason=str(description["TargetHealth"].get("Reason", "")),
            )
            for arn in self.target_groups
            for description in self.clients.elb.describe_target_health(TargetGroupArn=arn)[
                "TargetHealthDescriptions"
            ]
        ]

    def healthy(self) -> list[str]:
        """Return the targets that the load balancer calls healthy now."""
        return sorted({target.id for target in self.targets() if target.state == "healthy"})

    def members(self) -> list[str]:
        """Return the instances of the Auto Scaling groups."""
        if not self.scaling_groups:
            return []
        groups = self.clients.autoscaling.describe_auto_scaling_groups(
            AutoScalingGroupNames=list(self.scaling_groups)
        )["AutoScalingGroups"]
        return [member["InstanceId"] for group in groups for member in group.get("Instances", [])]

    def instances(self, ids: Iterable[str]) -> "list[InstanceTypeDef]":
        """Describe the instances among `ids` that EC2 still knows."""
        wanted = sorted(ids)
        if not wanted:
            return []
        pages = self.clients.ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-id", "Values": wanted}]
        )
        return [
            instance
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation.get("Instances", [])
        ]

    def activities(self) -> "list[ActivityTypeDef]":
        """Return the newest activities of the Auto Scaling groups, the oldest first."""
        return [
            activity
            for name in self.scaling_groups
            for activity in reversed(
                self.clients.autoscaling.describe_scaling_activities(
                    AutoScalingGroupName=name, MaxRecords=20
                )["Activities"]
            )
        ]


def find_fleet(clients: Clients, *, host: str, target_group: str) -> Fleet:
    """Find what stands behind `host` (a URL), or behind `target_group` if one is named.

    Raises NoFleet or AWS_ERRORS.
    """
    balancers = [] if target_group else _load_balancers(clients, host)
    groups = (
        clients.elb.describe_target_groups(TargetGroupArns=[target_group])["TargetGroups"]
        if target_group
        else [
            group
            for arn in balancers
            for group in clients.elb.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]
        ]
    )
    if not groups:
        raise NoFleet(
            f"no load balancer in this account and Region has the name and port of {host}; "
            "name its target group with --target-group"
        )
    arns = [group["TargetGroupArn"] for group in groups]
    check = groups[0]
    if target_group:
        balancers = [arn for group in groups for arn in group.get("LoadBalancerArns", [])]
    return Fleet(
        clients=clients,
        load_balancers=tuple(arn.partition(":loadbalancer/")[2] for arn in balancers),
        target_groups=tuple(arns),
        scaling_groups=tuple(_scaling_groups(clients, set(arns))),
        health_check={
            "interval_s": check.get("HealthCheckIntervalSeconds", 30),
            "timeout_s": check.get("HealthCheckTimeoutSeconds", 5),
            "unhealthy_threshold": check.get("UnhealthyThresholdCount", 2),
            "healthy_threshold": check.get("HealthyThresholdCount", 5),
        },
    )


def reason_of(error: Exception) -> str:
    """Return one line about an AWS error."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _load_balancers(clients: Clients, host: str) -> list[str]:
    """Return the load balancers that bear the host's name and listen on its port."""
    url = urlsplit(host)
    port = url.port or (443 if url.scheme == "https" else 80)
    named = [
        balancer["LoadBalancerArn"]
        for page in clients.elb.get_paginator("describe_load_balancers").paginate()
        for balancer in page["LoadBalancers"]
        if balancer.get("DNSName", "").lower() == (url.hostname or "").lower()
    ]
    return [arn for arn in named if port in _ports(clients, arn)]


def _ports(clients: Clients, balancer: str) -> list[int]:
    listeners = clients.elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
    return [listener["Port"] for listener in listeners if "Port" in listener]


def _scaling_groups(clients: Clients, target_groups: set[str]) -> list[str]:
    pages = clients.autoscaling.get_paginator("describe_auto_scaling_groups").paginate()
    return [
        group["AutoScalingGroupName"]
        for page in pages
        for group in page["AutoScalingGroups"]
        if target_groups & set(group.get("TargetGroupARNs", []))
    ]
