"""The hook and the observer against moto's server, which keeps states but stops nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.elbv2.models import elbv2_backends
from moto.fis.models import FISBackend
from moto.moto_api import state_manager
from moto.server import ThreadedMotoServer

from tests.locustfiles.load import Load, Locust
from tests.locustfiles.shop_server import Shop, serve

pytestmark = pytest.mark.slow

REGION = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Two tagged instances behind a load balancer, and templates that would hit them."""

    url: str
    instances: list[str]
    target_group: str
    starts: list[dict[str, Any]]  # of each StartExperiment: its token, tags and run.json then

    def client(self, service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def built(shop: Shop) -> Iterator[Cloud]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    cloud = Cloud(url=f"http://{host}:{port}", instances=[], target_group="", starts=[])
    yield _build(cloud, shop)
    server.stop()


@pytest.fixture
def cloud(
    built: Cloud, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    built.starts.clear()
    real = FISBackend.start_experiment

    def start_experiment(self: FISBackend, **asked: Any) -> Any:
        stored = json.loads((tmp_path / "run0" / "run.json").read_text())["fault"]
        built.starts.append({**asked, "stored": stored})
        return real(self, **asked)

    monkeypatch.setattr(FISBackend, "start_experiment", start_experiment)
    load.environment.update(_access(built.url))
    yield built
    state_manager.unset_transition("fis::experiment")


def test_fault_is_announced_fired_once_followed_and_its_victims_named(
    load: Load, shop: Shop, cloud: Cloud
) -> None:
    locust = load.start(shop.url, "-t", "50s", *_fault("hit-both", at="3%"), "--min-healthy", "0")
    locust.stop_when(lambda: _names(locust, "fis").count("completed"))
    run = locust.run_json()
    fault = run["fault"]
    (start,) = cloud.starts
    assert start["client_token"] == start["stored"]["client_token"] == fault["client_token"]
    assert start["tags"]["ChaosRun"] == run["run_id"]
    assert locust.event_names("fis")[:1] == ["pending"]
    assert [name for name in locust.event_names("fis") if name != "target_resolved"] == [
        *("pending", "initiating", "running", "completed")
    ]
    assert fault["state"] == "completed"
    assert fault["action"] == "aws:ec2:stop-instances"
    assert set(fault["targets"]) == set(cloud.instances)
    assert run["started_at"] < fault["started_at"] < fault["ended_at"] < run["ended_at"]
    seen = {(row["source"], row["subject"], row["event"]) for row in locust.events()}
    assert {("elb", each, "healthy") for each in cloud.instances} <= seen
    assert {("ec2", each, "running") for each in cloud.instances} <= seen
    assert run["health_check"]["interval_s"] == 10
    (blast,) = (row["detail"] for row in locust.events() if row["event"] == "blast_radius")
    assert blast.startswith("would stop 2 of i-")
    assert blast.endswith("healthy targets 2")


def test_run_that_ends_first_stops_its_experiment(load: Load, shop: Shop, cloud: Cloud) -> None:
    state_manager.set_transition("fis::experiment", {"progression": "manual", "times": 8})
    locust = load.start(shop.url, "-t", "60s", *_fault("hit-one", at="0.5s"))
    locust.stop_when(lambda: _names(locust, "fis"))
    assert "fis_stop_requested" in locust.event_names("harness")
    assert locust.event_names("fis")[-1] == "stopped"
    assert locust.run_json()["fault"]["state"] == "stopped"


def test_fault_is_refused_when_too_few_are_healthy(load: Load, shop: Shop, cloud: Cloud) -> None:
    cloud.client("elbv2").deregister_targets(
        TargetGroupArn=cloud.target_group, Targets=[{"Id": cloud.instances[0]}]
    )
    locust = load.start(shop.url, "-t", "60s", *_fault("hit-one", at="1s"))
    locust.stop_when(lambda: "fis_refused" in _names(locust, "harness"))
    assert cloud.starts == []
    (why,) = (row["detail"] for row in locust.events() if row["event"] == "fis_refused")
    assert why.startswith("hit-one: only 1 healthy")
    (blast,) = (row["detail"] for row in locust.events() if row["event"] == "blast_radius")
    assert blast.startswith("would stop 1 of i-")
    assert locust.run_json()["fault"]["started_at"] is None
    cloud.client("elbv2").register_targets(
        TargetGroupArn=cloud.target_group, Targets=[{"Id": cloud.instances[0]}]
    )


def test_unknown_template_means_no_load_and_64(load: Load, shop: Shop, cloud: Cloud) -> None:
    locust = load.start(shop.url, *_fault("hit-nobody", at="1s"))
    assert locust.wait() == 64
    assert "there is no FIS template 'hit-nobody'; there are: hit-both, hit-one" in locust.errors
    assert not (locust.run / "locust_stats.csv").exists()


def test_silent_aws_does_not_disturb_the_users(load: Load, shop: Shop) -> None:
    load.environment.update(_access("http://127.0.0.1:9"))
    locust = load.start(shop.url, "--target", "lab", "-t", "2s")
    locust.wait()
    assert locust.event_names("harness").count("observe_failed") == 1
    assert shop.attempt_ids()


def _names(locust: Locust, source: str) -> list[str]:
    return locust.event_names(source) if (locust.run / "events.csv").exists() else []


def _access(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }


def _fault(template: str, *, at: str) -> tuple[str, ...]:
    return ("--target", "lab", "--fis-template", template, "--fis-at", at, "--poll-every", "0.3")


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
            ImageId=ec2.describe_images()["Images"][0]["ImageId"],
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
