"""The lab's AWS account: moto's server, and in it what the article's Terraform would make.

moto keeps the records (VPC, instances, load balancer, group, templates); `moto_replacements`
makes them act. Everything here is made with boto3, as a user would.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from infra.lab.cloud.moto_server import backend
from infra.lab.cloud.names import (
    CLUSTER,
    CREDENTIALS,
    GROUP,
    PROJECT,
    REGION,
    TARGET_TAG,
    WRITER,
)
from infra.lab.fis.templates.provided import templates
from infra.lab.processes.progress_timeout import STUCK_AFTER_S
from infra.lab.servers.addresses import Network
from infra.lab.settings import LabSettings

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

# Its first calls take long where the machine is slow; a second try would make things twice.
_PATIENT = Config(read_timeout=STUCK_AFTER_S, retries={"total_max_attempts": 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Names and numbers of what was made; `load_balancer` as its access log names it."""

    endpoint: str
    load_balancer: str
    target_group_arn: str
    subnet_of_zone: Mapping[str, str]


def build(
    *, settings: LabSettings, network: Network, endpoint: str, load_balancer_port: int
) -> Cloud:
    """Make the account's contents, without instances: those the group launches."""
    session = boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    ec2 = session.client("ec2", endpoint_url=endpoint, config=_PATIENT)
    subnets, security_group = _make_network(ec2, network)
    balancer, target_group = _make_load_balancer(
        session, endpoint, settings, list(subnets.values()), load_balancer_port
    )
    _make_group(session, endpoint, settings, list(subnets.values()), security_group, target_group)
    _make_database(session, endpoint)
    _make_templates(session, endpoint, settings)
    return Cloud(
        endpoint=endpoint,
        load_balancer=balancer.partition(":loadbalancer/")[2],
        target_group_arn=target_group,
        subnet_of_zone=subnets,
    )


def _tags(name: str) -> list[Any]:
    return [{"Key": "Name", "Value": name}, {"Key": "Project", "Value": PROJECT}]


def _target_tags(name: str) -> list[Any]:
    return [*_tags(name), {"Key": TARGET_TAG[0], "Value": TARGET_TAG[1]}]


def _make_network(ec2: EC2Client, network: Network) -> tuple[dict[str, str], str]:
    vpc = ec2.create_vpc(
        CidrBlock=network.vpc_cidr,
        TagSpecifications=[{"ResourceType": "vpc", "Tags": _tags(f"{PROJECT}-vpc")}],
    )["Vpc"]["VpcId"]
    subnets = {
        zone: ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=network.subnet_cidr(zone),
            AvailabilityZone=zone,
            TagSpecifications=[
                {"ResourceType": "subnet", "Tags": _target_tags(f"{PROJECT}-{zone}")}
            ],
        )["Subnet"]["SubnetId"]
        for zone in network.zones
    }
    group = ec2.create_security_group(
        GroupName=f"{PROJECT}-ec2", Description="From the load balancer", VpcId=vpc
    )["GroupId"]
    return subnets, group


def _make_load_balancer(
    session: boto3.Session, endpoint: str, settings: LabSettings, subnets: list[str], port: int
) -> tuple[str, str]:
    elb = session.client("elbv2", endpoint_url=endpoint, config=_PATIENT)
    balancer = elb.create_load_balancer(
        Name=f"{PROJECT}-alb", Subnets=subnets, Tags=_tags(f"{PROJECT}-alb")
    )["LoadBalancers"][0]["LoadBalancerArn"]
    # Clients reach it by this name: on one computer it is Envoy's address.
    backend("elbv2").load_balancers[balancer].dns_name = "127.0.0.1"
    subnet = session.client("ec2", endpoint_url=endpoint, config=_PATIENT).describe_subnets(
        SubnetIds=subnets[:1]
    )
    group = elb.create_target_group(
        Name=f"{PROJECT}-tg",
        Protocol="HTTP",
        Port=settings.instance_port,
        VpcId=subnet["Subnets"][0]["VpcId"],
        TargetType="instance",
        HealthCheckPath="/health",
        # AWS knows whole seconds of at least 5 and 2; what is faster is rounded up here.
        HealthCheckIntervalSeconds=max(5, round(settings.health_check_interval_s)),
        HealthCheckTimeoutSeconds=max(2, round(settings.health_check_timeout_s)),
        HealthyThresholdCount=settings.healthy_threshold,
        UnhealthyThresholdCount=settings.unhealthy_threshold,
        Matcher={"HttpCode": "200"},
    )["TargetGroups"][0]["TargetGroupArn"]
    record = backend("elbv2").target_groups[group]
    record.health_check_interval_seconds = round(settings.health_check_interval_s)
    record.health_check_timeout_seconds = round(settings.health_check_timeout_s)
    elb.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=port,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    return balancer, group


def _make_group(
    session: boto3.Session,
    endpoint: str,
    settings: LabSettings,
    subnets: list[str],
    security_group: str,
    target_group: str,
) -> None:
    ec2 = session.client("ec2", endpoint_url=endpoint, config=_PATIENT)
    template = ec2.create_launch_template(
        LaunchTemplateName=f"{PROJECT}-server",
        LaunchTemplateData={
            "ImageId": "ami-0c55b159cbfafe1f0",
            "InstanceType": "t3.micro",
            "SecurityGroupIds": [security_group],
        },
    )["LaunchTemplate"]["LaunchTemplateId"]
    group_tags = {"Name": f"{PROJECT}-server", "Project": PROJECT, TARGET_TAG[0]: TARGET_TAG[1]}
    session.client("autoscaling", endpoint_url=endpoint, config=_PATIENT).create_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
        MinSize=settings.min_size,
        MaxSize=settings.max_size,
        DesiredCapacity=settings.desired_capacity,
        VPCZoneIdentifier=",".join(subnets),
        TargetGroupARNs=[target_group],
        HealthCheckType="ELB",
        HealthCheckGracePeriod=round(settings.health_check_grace_s),
        Tags=[
            {
                "Key": key,
                "Value": value,
                "PropagateAtLaunch": True,
                "ResourceId": GROUP,
                "ResourceType": "auto-scaling-group",
            }
            for key, value in group_tags.items()
        ],
    )


def _make_database(session: boto3.Session, endpoint: str) -> None:
    """The records of one cluster with one writer; the database itself is PostgreSQL."""
    service: Any = "rds"  # not among the services whose types are installed
    rds = session.client(service, endpoint_url=endpoint, config=_PATIENT)
    rds.create_db_cluster(
        DBClusterIdentifier=CLUSTER,
        Engine="aurora-postgresql",
        DatabaseName="shop",
        MasterUsername="shop",
        MasterUserPassword=uuid.uuid4().hex,  # moto asks for one; the lab's role has none
        Tags=_target_tags(CLUSTER),
    )
    rds.create_db_instance(
        DBInstanceIdentifier=WRITER,
        DBInstanceClass="db.serverless",
        Engine="aurora-postgresql",
        DBClusterIdentifier=CLUSTER,
        Tags=_target_tags(WRITER),
    )


def _make_templates(session: boto3.Session, endpoint: str, settings: LabSettings) -> None:
    role = session.client("iam", endpoint_url=endpoint, config=_PATIENT).create_role(
        RoleName=f"{PROJECT}-fis",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}),
    )["Role"]["Arn"]
    fis = session.client("fis", endpoint_url=endpoint, config=_PATIENT)
    for name, template in templates(fault_s=settings.fault_s).items():
        fis.create_experiment_template(
            clientToken=str(uuid.uuid4()),
            roleArn=role,
            stopConditions=[{"source": "none"}],
            tags={"Name": name, "Project": PROJECT},
            **template,
        )
