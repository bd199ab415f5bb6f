"""What a user may do in the lab's account besides the experiment; none of it ends the lab."""

import contextlib
import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import psycopg
import pytest

from infra.lab.cloud.names import CLUSTER, GROUP, WRITER
from infra.lab.supervision.lab_folder import LabState
from infra.lab.supervision.raising import PrivateLab

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_fis import FISClient

pytestmark = [pytest.mark.lab, pytest.mark.slow]

FAST = {**os.environ, "LAB_PROFILE": "fast", "LAB_SHOP_WORKERS": "1"}


class Account:
    """boto3 as a user has it."""

    def __init__(self, lab: LabState) -> None:
        self.lab = lab

        def client(service: Any) -> Any:
            return boto3.client(
                service,
                endpoint_url=lab.aws_endpoint,
                region_name="us-east-1",
                aws_access_key_id="lab",
                aws_secret_access_key="lab",
            )

        self.ec2: EC2Client = client("ec2")
        self.elb: ElasticLoadBalancingv2Client = client("elbv2")
        self.asg: AutoScalingClient = client("autoscaling")
        self.fis: FISClient = client("fis")
        self.rds = client("rds")
        self.cloudwatch = client("cloudwatch")

    def health(self) -> dict[str, str]:
        group = self.elb.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
        return {
            each["Target"]["Id"]: str(each["TargetHealth"]["State"])
            for each in self.elb.describe_target_health(TargetGroupArn=group)[
                "TargetHealthDescriptions"
            ]
        }

    def is_whole(self, servers: int = 2) -> bool:
        return list(self.health().values()) == ["healthy"] * servers

    def serving(self, requests: int = 12) -> set[str]:
        """Ids of those that answer so many requests."""
        found = set()
        for _ in range(requests):
            with urllib.request.urlopen(f"{self.lab.host}/products", timeout=5) as reply:
                found.add(json.load(reply)["served_by"])
        return found

    def launch_one(self, **tags: str) -> str:
        """A server of the user's own: a record, without a machine."""
        return self.ec2.run_instances(
            ImageId="ami-12345678",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {
                    "ResourceType": "instance",
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                }
            ]
            if tags
            else [],
        )["Instances"][0]["InstanceId"]

    def instance(self, instance_id: str) -> Any:
        described = self.ec2.describe_instances(InstanceIds=[instance_id])
        return described["Reservations"][0]["Instances"][0]


def until(condition: Callable[[], bool], *, limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    lab = PrivateLab(FAST, progress=print)
    yield Account(lab.state)
    lab.close()


def test_servers_that_are_on_offer_are_those_of_the_labs_region(account: Account) -> None:
    offers = account.ec2.describe_instance_type_offerings(LocationType="availability-zone")
    kinds = {(each["Location"], each["InstanceType"]) for each in offers["InstanceTypeOfferings"]}
    assert {("us-east-1a", "t3.micro"), ("us-east-1b", "t3.micro")} <= kinds


def test_there_are_images_to_choose_from(account: Account) -> None:
    images = account.ec2.describe_images(
        Owners=["amazon"], Filters=[{"Name": "name", "Values": ["al2023-ami-2023*"]}]
    )["Images"]
    assert images


def test_an_instance_of_ones_own_stops_and_ends(account: Account) -> None:
    mine = account.launch_one()
    account.ec2.stop_instances(InstanceIds=[mine])
    account.ec2.get_waiter("instance_stopped").wait(InstanceIds=[mine])
    account.ec2.terminate_instances(InstanceIds=[mine])
    account.ec2.get_waiter("instance_terminated").wait(InstanceIds=[mine])


def test_an_experiment_may_stop_an_instance_of_ones_own(account: Account) -> None:
    mine = account.launch_one(Mine="yes")
    template = account.fis.create_experiment_template(
        clientToken="mine",
        description="stop what is mine",
        roleArn="arn:aws:iam::123456789012:role/fis",
        stopConditions=[{"source": "none"}],
        targets={
            "mine": {
                "resourceType": "aws:ec2:instance",
                "resourceTags": {"Mine": "yes"},
                "selectionMode": "ALL",
            }
        },
        actions={"a": {"actionId": "aws:ec2:stop-instances", "targets": {"Instances": "mine"}}},
    )["experimentTemplate"]["id"]
    experiment = account.fis.start_experiment(
        experimentTemplateId=template, clientToken="mine", tags={"run": "r1"}
    )
    name = experiment["experiment"]["id"]
    until(
        lambda: account.fis.get_experiment(id=name)["experiment"]["state"]["status"] == "completed"
    )
    assert account.instance(mine)["State"]["Name"] == "stopped"
    listed = {each["id"]: each["tags"] for each in account.fis.list_experiments()["experiments"]}
    assert listed[name] == {"run": "r1"}


def test_an_alarm_keeps_the_servers_from_harm(account: Account) -> None:
    account.cloudwatch.put_metric_alarm(
        AlarmName="orders",
        Namespace="Shop",
        MetricName="Errors",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Period=60,
        Threshold=1,
        Statistic="Sum",
    )
    alarm = account.cloudwatch.describe_alarms()["MetricAlarms"][0]["AlarmArn"]
    everything = account.fis.create_experiment_template(
        clientToken="guarded",
        description="stop all servers, unless an alarm sounds before",
        roleArn="arn:aws:iam::123456789012:role/fis",
        stopConditions=[{"source": "aws:cloudwatch:alarm", "value": alarm}],
        targets={
            "all": {
                "resourceType": "aws:ec2:instance",
                "resourceTags": {"ChaosTarget": "true"},
                "selectionMode": "ALL",
            }
        },
        actions={
            "wait": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}},
            "stop": {
                "actionId": "aws:ec2:stop-instances",
                "targets": {"Instances": "all"},
                "startAfter": ["wait"],
            },
        },
    )["experimentTemplate"]["id"]
    started = account.fis.start_experiment(experimentTemplateId=everything, clientToken="guarded")
    name = started["experiment"]["id"]

    def state() -> Any:
        return account.fis.get_experiment(id=name)["experiment"]

    until(lambda: state()["state"]["status"] == "running")
    account.cloudwatch.set_alarm_state(
        AlarmName="orders", StateValue="ALARM", StateReason="orders are lost"
    )
    until(lambda: state()["state"]["status"] == "stopped")
    assert state()["state"]["reason"] == "Experiment halted by stop condition."
    assert {key: each["state"]["status"] for key, each in state()["actions"].items()} == {
        "wait": "stopped", "stop": "cancelled",
    }  # fmt: skip
    resolved = account.fis.list_experiment_resolved_targets(experimentId=name)["resolvedTargets"]
    victims = [each["targetInformation"]["arn"].rpartition("/")[2] for each in resolved]
    assert {account.instance(each)["State"]["Name"] for each in victims} == {"running"}
    assert account.is_whole()


def test_an_attached_instance_of_ones_own_counts_for_nothing(account: Account) -> None:
    mine = account.launch_one()
    account.asg.attach_instances(AutoScalingGroupName=GROUP, InstanceIds=[mine])
    until(lambda: account.is_whole(3))
    account.asg.detach_instances(
        AutoScalingGroupName=GROUP, InstanceIds=[mine], ShouldDecrementDesiredCapacity=True
    )
    until(account.is_whole)


def test_the_group_grows_and_shrinks_and_says_why(account: Account) -> None:
    account.asg.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=4)
    until(lambda: account.is_whole(4))
    account.asg.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=2)
    until(account.is_whole)
    newest = account.asg.describe_scaling_activities(AutoScalingGroupName=GROUP, MaxRecords=1)
    assert "shrinking the capacity from 3 to 2" in newest["Activities"][0]["Cause"]
    zones = account.asg.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]
    assert {each["AvailabilityZone"] for each in zones} == {"us-east-1a", "us-east-1b"}


def test_activities_come_in_pages(account: Account) -> None:
    whole = account.asg.describe_scaling_activities(AutoScalingGroupName=GROUP)
    assert "NextToken" not in whole
    pages = account.asg.get_paginator("describe_scaling_activities").paginate(
        AutoScalingGroupName=GROUP, PaginationConfig={"PageSize": 2}
    )
    ids = [each["ActivityId"] for each in whole["Activities"]]
    assert [each["ActivityId"] for page in pages for each in page["Activities"]] == ids
    one = account.asg.describe_scaling_activities(ActivityIds=ids[1:2])["Activities"]
    assert [each["ActivityId"] for each in one] == ids[1:2]


@pytest.mark.parametrize("by", ["ec2", "autoscaling"])
def test_a_terminated_server_leaves_the_target_group_and_is_replaced(
    account: Account, by: str
) -> None:
    victim = next(iter(account.health()))
    if by == "ec2":
        account.ec2.terminate_instances(InstanceIds=[victim])
    else:
        account.asg.terminate_instance_in_auto_scaling_group(
            InstanceId=victim, ShouldDecrementDesiredCapacity=False
        )
    until(lambda: victim not in account.health() and account.is_whole())
    ended = account.instance(victim)
    assert ended["State"] == {"Code": 48, "Name": "terminated"}
    assert ended["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    until(
        lambda: (
            {
                each["StatusCode"]
                for each in account.asg.describe_scaling_activities(AutoScalingGroupName=GROUP)[
                    "Activities"
                ]
            }
            == {"Successful"}
        )
    )


def test_a_deregistered_target_has_no_requests_until_it_is_registered_again(
    account: Account,
) -> None:
    victim, other = account.health()
    group = account.elb.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
    assert account.serving() == {victim, other}
    account.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": victim}])
    until(lambda: account.serving() == {other})
    until(lambda: account.health() == {other: "healthy"})
    assert account.instance(victim)["State"]["Name"] == "running"
    account.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": victim}])
    until(account.is_whole)
    until(lambda: account.serving() == {victim, other})


def test_whom_a_user_calls_unhealthy_is_replaced(account: Account) -> None:
    victim = next(iter(account.health()))
    account.asg.set_instance_health(
        InstanceId=victim, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
    )
    until(lambda: victim not in account.health() and account.is_whole())
    until(lambda: account.instance(victim)["State"]["Name"] == "terminated")


@pytest.mark.parametrize("how", ["reboot", "failover"])
def test_the_database_goes_and_comes_back(account: Account, how: str) -> None:
    def is_away() -> bool:
        try:
            session.execute("SELECT 1")
        except psycopg.OperationalError:
            return True
        return False

    def statuses() -> tuple[str, str]:
        cluster = account.rds.describe_db_clusters(DBClusterIdentifier=CLUSTER)["DBClusters"][0]
        writer = account.rds.describe_db_instances(DBInstanceIdentifier=WRITER)["DBInstances"][0]
        return cluster["Status"], writer["DBInstanceStatus"]

    session = psycopg.connect(account.lab.database_url, autocommit=True)
    with contextlib.closing(session):
        if how == "reboot":
            account.rds.reboot_db_instance(DBInstanceIdentifier=WRITER)
            assert statuses() == ("available", "rebooting")
        else:
            account.rds.failover_db_cluster(DBClusterIdentifier=CLUSTER)
            assert statuses() == ("failing-over", "rebooting")
        until(is_away)
    until(lambda: statuses() == ("available", "available"))
    cluster = account.rds.describe_db_clusters(DBClusterIdentifier=CLUSTER)["DBClusters"][0]
    where = f"host={cluster['Endpoint']} port={cluster['Port']} dbname=shop user=shop"
    with psycopg.connect(where) as connection:
        assert connection.execute("SELECT count(*) FROM products").fetchone()
    until(account.is_whole)


def test_many_may_ask_at_once(account: Account) -> None:
    over = time.monotonic() + 2
    errors: list[Exception] = []

    def repeat(call: Callable[[], object]) -> None:
        try:
            while time.monotonic() < over:
                call()
        except Exception as error:  # noqa: BLE001  (of whatever kind: it is the finding)
            errors.append(error)

    template = account.fis.list_experiment_templates()["experimentTemplates"][0]["id"]

    def rehearse() -> None:
        with contextlib.suppress(account.fis.exceptions.ServiceQuotaExceededException):
            account.fis.start_experiment(
                experimentTemplateId=template,
                clientToken=str(time.monotonic()),
                experimentOptions={"actionsMode": "skip-all"},
            )

    calls: list[Callable[[], object]] = [
        account.launch_one,
        account.launch_one,
        account.ec2.describe_instances,
        rehearse,
    ]
    threads = [threading.Thread(target=repeat, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert account.is_whole()


def test_a_deleted_group_takes_its_servers_along(account: Account) -> None:
    servers = list(account.health())
    account.asg.delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)
    until(lambda: not account.health())
    until(lambda: {account.instance(each)["State"]["Name"] for each in servers} == {"terminated"})
