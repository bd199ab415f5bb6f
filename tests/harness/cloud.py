"""A small AWS account of moto's, on loopback: two tagged instances behind a load balancer."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3

from infra.lab.cloud.moto_speedup import hasten_moto
from tests.harness.shop_server import Shop

REGION = "us-east-1"
_IMAGE = "ami-12c6146b"  # one of moto's; to list them all takes it seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Two tagged instances behind a load balancer, and templates that would hit them."""

    url: str
    instances: list[str]
    target_group: str
    starts: list[dict[str, Any]] = field(
        default_factory=list
    )  # of each StartExperiment: its token, tags and run.json then

    def client(self, service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )


@contextmanager
def build(shop: Shop) -> Iterator[Cloud]:
    """Run moto's server, and make in it what stands behind the shop."""
    hasten_moto()

    from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- most tests go without moto

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # moto's records are of the process, and outlive the server that shows them.
    urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", b"", timeout=30).close()
    try:
        yield _build(Cloud(url=f"http://{host}:{port}", instances=[], target_group=""), shop)
    finally:
        server.stop()


def access(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }


def _build(cloud: Cloud, shop: Shop) -> Cloud:
    ec2, elb, fis = (cloud.client(each) for each in ("ec2", "elbv2", "fis"))
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=network, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    ]
    instances = [
        ec2.run_instances(
            ImageId=_IMAGE,
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": "ChaosTarget", "Value": "true"}]}
            ],
        )["Instances"][0]["InstanceId"]
        for subnet in subnets
    ]
    balancer = elb.create_load_balancer(Name="shop", Subnets=subnets)["LoadBalancers"][0]
    group = elb.create_target_group(
        Name="shop",
        Protocol="HTTP",
        Port=80,
        VpcId=network,
        HealthCheckIntervalSeconds=10,
    )["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": each} for each in instances])
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=int(shop.url.rpartition(":")[2]),
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    from moto.elbv2.models import elbv2_backends  # noqa: PLC0415 -- after moto has been hastened

    # So that it is found by the host's name, as on AWS.
    backend = elbv2_backends["123456789012"][REGION]
    backend.load_balancers[balancer["LoadBalancerArn"]].dns_name = "127.0.0.1"
    arns = [f"arn:aws:ec2:{REGION}:123456789012:instance/{each}" for each in instances]
    _template(fis, "hit-both", {"resourceArns": arns, "selectionMode": "ALL"})
    tagged = {
        "resourceTags": {"ChaosTarget": "true"},
        "filters": [{"path": "State.Name", "values": ["running"]}],
    }
    _template(fis, "hit-one", {**tagged, "selectionMode": "COUNT(1)"})
    return Cloud(url=cloud.url, instances=instances, target_group=group, starts=cloud.starts)


def _template(fis: Any, name: str, target: dict[str, Any]) -> None:
    fis.create_experiment_template(
        description=name,
        roleArn="arn:aws:iam::123456789012:role/fis",
        stopConditions=[{"source": "none"}],
        targets={"servers": {"resourceType": "aws:ec2:instance", **target}},
        actions={
            "stop": {"actionId": "aws:ec2:stop-instances", "targets": {"Instances": "servers"}}
        },
        tags={"Name": name},
    )
