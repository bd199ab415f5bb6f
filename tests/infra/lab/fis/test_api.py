"""boto3 against the lab's FIS, on real records of EC2, RDS and CloudWatch; no machines."""

import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from infra.lab.balancer.target_health import TargetHealth
from infra.lab.cloud.moto_replacements import MotoReplacements
from infra.lab.cloud.moto_server import MotoServer
from infra.lab.database.data_api import DataApi
from infra.lab.database.failover import Writer
from infra.lab.database.postgres import Postgres
from infra.lab.fis.errors import ActionFailed
from infra.lab.fis.servers_and_database import Database, Lab, Servers
from infra.lab.fis.targets.resolution import resolve, values_at
from infra.lab.fis.targets.resource_types import RESOURCE_TYPES
from infra.lab.processes.guard import Guard
from infra.lab.processes.ports import free_port
from infra.lab.processes.process_group import ProcessGroup
from infra.lab.servers.addresses import Network
from infra.lab.servers.auto_scaling_group import AutoScalingGroup
from infra.lab.settings import LabSettings

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_fis import FISClient

ROLE = "arn:aws:iam::123456789012:role/fis"
WAIT = {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1S"}}
LONG = {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1H"}}
STOP = {"actionId": "aws:ec2:stop-instances", "targets": {"Instances": "mine"}}


class Account:
    """boto3 as a user has it, with botocore's own checks off where AWS's are wanted."""

    def __init__(self, endpoint: str) -> None:
        def client(service: Any) -> Any:
            return boto3.client(
                service,
                endpoint_url=endpoint,
                region_name="us-east-1",
                aws_access_key_id="lab",
                aws_secret_access_key="lab",
                config=Config(parameter_validation=False),
            )

        self.endpoint = endpoint
        self.fis: FISClient = client("fis")
        self.ec2: EC2Client = client("ec2")
        self.rds = client("rds")
        self.cloudwatch = client("cloudwatch")

    def create(self, **changes: Any) -> str:
        request: dict[str, Any] = {
            "clientToken": str(uuid.uuid4()),
            "description": "of a test",
            "roleArn": ROLE,
            "stopConditions": [{"source": "none"}],
            "actions": {"wait": WAIT},
        }
        made = self.fis.create_experiment_template(**(request | changes))
        return made["experimentTemplate"]["id"]

    def start(self, template: str, **options: Any) -> str:
        request = {"clientToken": str(uuid.uuid4()), "experimentTemplateId": template}
        return self.fis.start_experiment(**(request | options))["experiment"]["id"]

    def state(self, experiment: str) -> str:
        return self.fis.get_experiment(id=experiment)["experiment"]["state"]["status"]

    def until(self, experiment: str, *states: str) -> Any:
        deadline = time.monotonic() + 20
        while self.state(experiment) not in states:
            assert time.monotonic() < deadline, f"{self.state(experiment)}, not {states}"
            time.sleep(0.02)
        return self.fis.get_experiment(id=experiment)["experiment"]

    def launch(self, groups: Sequence[str] = (), **tags: str) -> str:
        made = self.ec2.run_instances(
            ImageId="ami-12345678",
            MinCount=1,
            MaxCount=1,
            SecurityGroupIds=groups,
            TagSpecifications=[
                {
                    "ResourceType": "instance",
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                }
            ],
        )
        return made["Instances"][0]["InstanceId"]

    def ec2_state(self, instance: str) -> str:
        described = self.ec2.describe_instances(InstanceIds=[instance])
        return described["Reservations"][0]["Instances"][0]["State"]["Name"]

    def set_alarm(self, state: str, name: str = "orders") -> str:
        self.cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="Shop",
            MetricName="Errors",
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
            Period=60,
            Threshold=1,
            Statistic="Sum",
        )
        self.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
        found = self.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return str(found[0]["AlarmArn"])


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    with Guard() as guard:
        yield guard


def _run_nothing(instance_id: str, command: Sequence[str]) -> ProcessGroup:
    raise ActionFailed(f"{instance_id} is a record alone")


@pytest.fixture(scope="module")
def account(guard: Guard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    lock = threading.RLock()
    # Instances here are records alone, and there is no database.
    postgres = Postgres(folder=tmp_path_factory.mktemp("postgres"), guard=guard)
    lab = Lab(
        servers=Servers(machines={}, run=_run_nothing),
        database=Database(Writer(postgres, away_s=0, now=time.monotonic)),
    )
    health = TargetHealth(deregistration_delay_s=0)
    network = Network(instance_port=free_port())
    group = AutoScalingGroup(
        settings=LabSettings(),
        network=network,
        health=health,
        serve=lambda place: _run_nothing(place.instance_id, ()),
        now=time.monotonic,
    )
    answers = MotoReplacements(
        lock=lock,
        lab=lab,
        group=group,
        health=health,
        data_api=DataApi(postgres.url),
        initiating_s=0.1,
    )
    answers.install()
    server = MotoServer()
    server.start()
    is_over = threading.Event()

    def go_on() -> None:
        while not is_over.wait(0.02):
            with lock:
                answers.tick()

    thread = threading.Thread(target=go_on)
    thread.start()
    yield Account(server.endpoint)
    is_over.set()
    thread.join()
    server.stop()
    answers.remove()
    network.close()


def refused(call: Callable[[], object]) -> tuple[str, int, str]:
    """The error's code, HTTP status and message."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  (its kind is what is asked)
        call()
    response = caught.value.response  # type: ignore[attr-defined]
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    return response["Error"]["Code"], status, response["Error"]["Message"]


def test_a_template_is_made_read_changed_listed_and_deleted(account: Account) -> None:
    report = {"outputs": {"s3Configuration": {"bucketName": "reports"}}}
    logs = {"s3Configuration": {"bucketName": "logs"}, "logSchemaVersion": 2}
    template = account.create(
        tags={"Name": "one"}, logConfiguration=logs, experimentReportConfiguration=report
    )
    made = account.fis.get_experiment_template(id=template)["experimentTemplate"]
    assert made["arn"].endswith(f":experiment-template/{template}")
    assert made["experimentOptions"] == {
        "accountTargeting": "single-account", "emptyTargetResolutionMode": "fail",
    }  # fmt: skip
    assert made["logConfiguration"] == logs
    assert made["experimentReportConfiguration"] == report
    changed = account.fis.update_experiment_template(
        id=template,
        description="other",
        experimentOptions={"emptyTargetResolutionMode": "skip"},
    )["experimentTemplate"]
    assert changed["description"] == "other"
    assert changed["experimentOptions"]["emptyTargetResolutionMode"] == "skip"
    assert changed["lastUpdateTime"] > changed["creationTime"]
    account.fis.tag_resource(resourceArn=made["arn"], tags={"Team": "orders"})
    account.fis.untag_resource(resourceArn=made["arn"], tagKeys=["Name"])
    tags = account.fis.list_tags_for_resource(resourceArn=made["arn"])["tags"]
    assert tags == {"Team": "orders"}
    listed = {
        each["id"]: each["tags"]
        for page in account.fis.get_paginator("list_experiment_templates").paginate(
            PaginationConfig={"PageSize": 1}
        )
        for each in page["experimentTemplates"]
    }
    assert listed[template] == tags
    account.fis.delete_experiment_template(id=template)
    code, status, message = refused(lambda: account.fis.get_experiment_template(id=template))
    assert (code, status) == ("ResourceNotFoundException", 404)
    assert template in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"actions": {"a": {"actionId": "aws:ecs:stop-task"}}},
            ("ResourceNotFoundException", 404, "Action with ID aws:ecs:stop-task not found."),
        ),
        (
            {"actions": {"a": WAIT | {"startAfter": ["b"]}}},
            (
                "ValidationException",
                400,
                'Action "a" starts after action "b", which is not defined.',
            ),
        ),
        (
            {"stopConditions": [{"source": "none"}] * 6},
            (
                "ServiceQuotaExceededException",
                402,
                (
                    "The experiment template has 6 stop conditions; the quota is 5 stop conditions "
                    "per experiment template."
                ),
            ),
        ),
        (
            {"description": None},
            (
                "ValidationException",
                400,
                (
                    "1 validation error detected: Value null at 'description' failed to satisfy "
                    "constraint: Member must not be null"
                ),
            ),
        ),
    ],
)
def test_an_error_has_awss_code_and_status_and_says_what(
    account: Account, changes: dict[str, Any], expected: tuple[str, int, str]
) -> None:
    assert refused(lambda: account.create(**changes)) == expected


def test_a_token_used_for_something_else_is_a_conflict(account: Account) -> None:
    first = account.create(clientToken="mine")
    assert account.create(clientToken="mine") == first
    refusal = refused(lambda: account.create(clientToken="mine", description="other"))
    assert refusal[:2] == ("ConflictException", 409)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"actions": 1}', b'{"clientToken": ""}'])
def test_a_body_that_is_no_request_is_refused_and_not_a_fault_of_ours(
    account: Account, body: bytes
) -> None:
    request = urllib.request.Request(
        f"{account.endpoint}/experimentTemplates",
        data=body,
        headers={
            "Authorization": "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/fis/aws4_request, "
            "SignedHeaders=host, Signature=0",
            "Content-Type": "application/json",
        },
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as reply:
        assert reply.code == 400
        assert json.loads(reply.read())["__type"] == "ValidationException"


def test_actions_run_in_order_on_what_the_target_means(account: Account) -> None:
    mine = account.launch(Run="order")
    experiment = account.start(
        account.create(
            targets={
                "mine": {
                    "resourceType": "aws:ec2:instance",
                    "resourceTags": {"Run": "order"},
                    "filters": [{"path": "State.Name", "values": ["running"]}],
                    "selectionMode": "COUNT(1)",
                }
            },
            actions={"wait": WAIT, "stop": STOP | {"startAfter": ["wait"]}},
        ),
        tags={"run": "r1"},
    )
    running = account.until(experiment, "running")
    assert running["actions"]["wait"]["state"]["status"] == "running"
    assert running["actions"]["stop"]["state"]["status"] == "pending"
    assert account.ec2_state(mine) == "running"
    ended = account.until(experiment, "completed")
    assert account.ec2_state(mine) == "stopped"
    assert ended["actions"]["wait"]["endTime"] <= ended["actions"]["stop"]["startTime"]
    resolved = account.fis.list_experiment_resolved_targets(
        experimentId=experiment, targetName="mine"
    )["resolvedTargets"]
    assert [(each["resourceType"], each["targetInformation"]) for each in resolved] == [
        (
            "aws:ec2:instance",
            {"arn": f"arn:aws:ec2:us-east-1:123456789012:instance/{mine}"},
        )
    ]
    summary = account.fis.list_experiments(experimentTemplateId=ended["experimentTemplateId"])
    assert summary["experiments"][0]["state"]["reason"] == "Experiment completed."
    assert summary["experiments"][0]["tags"] == {"run": "r1"}


def test_an_alarm_stops_the_experiment(account: Account) -> None:
    alarm = account.set_alarm("OK")
    template = account.create(
        actions={"wait": LONG}, stopConditions=[{"source": "aws:cloudwatch:alarm", "value": alarm}]
    )
    experiment = account.start(template)
    account.until(experiment, "running")
    account.set_alarm("ALARM")
    stopped = account.until(experiment, "stopped")
    assert stopped["state"]["reason"] == "Experiment halted by stop condition."
    assert stopped["actions"]["wait"]["state"]["status"] == "stopped"
    assert account.until(account.start(template), "stopped")["actions"]["wait"]["state"] == {
        "status": "cancelled", "reason": "Action was cancelled.",
    }  # fmt: skip


def test_the_safety_lever_ends_all_and_is_disengaged_again(account: Account) -> None:
    template = account.create(actions={"wait": LONG})
    experiment = account.start(template)
    account.until(experiment, "running")
    engaged = account.fis.update_safety_lever_state(
        id="default", state={"status": "engaged", "reason": "night"}
    )["safetyLever"]
    assert engaged["arn"] == "arn:aws:fis:us-east-1:123456789012:safety-lever/default"
    account.until(experiment, "stopped")
    account.until(account.start(template), "cancelled")
    refusal = refused(
        lambda: account.fis.update_safety_lever_state(
            id="default", state={"status": "engaged", "reason": "other"}
        )
    )
    assert refusal[:2] == ("ConflictException", 409)
    account.fis.update_safety_lever_state(
        id="default", state={"status": "disengaged", "reason": "day"}
    )
    lever = account.fis.get_safety_lever(id="default")["safetyLever"]
    assert lever["state"] == {"status": "disengaged", "reason": "day"}
    experiment = account.start(template)
    account.until(experiment, "running")
    account.fis.stop_experiment(id=experiment)
    account.until(experiment, "stopped")


def test_actions_and_resource_types_are_listed_and_described(account: Account) -> None:
    actions = {each["id"]: each for each in account.fis.list_actions()["actions"]}
    assert {"aws:ec2:stop-instances", "aws:fis:wait"} <= set(actions)
    assert actions["aws:ec2:stop-instances"]["targets"] == {
        "Instances": {"resourceType": "aws:ec2:instance"}
    }
    wait = account.fis.get_action(id="aws:fis:wait")["action"]
    assert wait["parameters"]["duration"]["required"] is True
    assert refused(lambda: account.fis.get_action(id="aws:none"))[0] == "ResourceNotFoundException"
    pages = account.fis.get_paginator("list_target_resource_types").paginate(
        PaginationConfig={"PageSize": 1}
    )
    kinds = [each["resourceType"] for page in pages for each in page["targetResourceTypes"]]
    assert kinds == ["aws:ec2:instance", "aws:ec2:subnet", "aws:rds:cluster", "aws:rds:db"]
    subnet = account.fis.get_target_resource_type(resourceType="aws:ec2:subnet")
    assert set(subnet["targetResourceType"]["parameters"]) == {"availabilityZoneIdentifier", "vpc"}
    refusal = refused(lambda: account.fis.get_target_resource_type(resourceType="aws:none"))
    assert refusal[:2] == ("ResourceNotFoundException", 404)


def test_a_filter_sees_of_an_instance_what_describe_instances_answers(account: Account) -> None:
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = account.ec2.create_security_group(GroupName="mine", Description="mine", VpcId=vpc)
    mine = account.launch([group["GroupId"]], Run="filters")
    answered = account.ec2.describe_instances(InstanceIds=[mine])["Reservations"][0]["Instances"][0]
    candidates = {each.id: each for each in RESOURCE_TYPES["aws:ec2:instance"].candidates()}
    for path in (
        "InstanceId",
        "ImageId",
        "InstanceType",
        "State.Name",
        "State.Code",
        "Placement.AvailabilityZone",
        "SubnetId",
        "VpcId",
        "PrivateIpAddress",
        "SecurityGroups.GroupId",
    ):
        seen = list(values_at(candidates[mine].description, path.split(".")))
        assert seen, path
        assert seen == list(values_at(answered, path.split("."))), path


def test_subnets_are_found_as_the_account_has_them(account: Account) -> None:
    vpc = account.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    made = {
        zone: account.ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=zone
        )["Subnet"]
        for number, zone in enumerate(["us-east-1a", "us-east-1b"])
    }
    subnets = RESOURCE_TYPES["aws:ec2:subnet"]
    mine = {"vpc": vpc, "availabilityZoneIdentifier": "us-east-1b"}
    found = resolve({"parameters": mine, "selectionMode": "ALL"}, subnets)
    assert [each.arn for each in found] == [made["us-east-1b"]["SubnetArn"]]
    by_id = mine | {"availabilityZoneIdentifier": made["us-east-1a"]["AvailabilityZoneId"]}
    found = resolve({"parameters": by_id, "selectionMode": "ALL"}, subnets)
    assert [each.id for each in found] == [made["us-east-1a"]["SubnetId"]]


def test_databases_are_found_as_the_account_has_them(account: Account) -> None:
    tags = [{"Key": "Mine", "Value": "yes"}]
    cluster = account.rds.create_db_cluster(
        DBClusterIdentifier="shop",
        Engine="aurora-postgresql",
        MasterUsername="shop",
        MasterUserPassword="not-a-secret",
        Tags=tags,
    )["DBCluster"]
    writer = account.rds.create_db_instance(
        DBInstanceIdentifier="shop-1",
        DBInstanceClass="db.t3.medium",
        Engine="aurora-postgresql",
        DBClusterIdentifier="shop",
        AvailabilityZone="us-east-1b",
    )["DBInstance"]

    def found(kind: str, **how: Any) -> list[str]:
        target = {"selectionMode": "ALL", **how}
        return [each.arn for each in resolve(target, RESOURCE_TYPES[kind])]

    zone = "writerAvailabilityZoneIdentifiers"
    assert found("aws:rds:cluster", resourceTags={"Mine": "yes"}) == [cluster["DBClusterArn"]]
    assert found("aws:rds:cluster", parameters={zone: "us-east-1a, us-east-1b"}) == [
        cluster["DBClusterArn"]
    ]
    assert found("aws:rds:cluster", parameters={zone: "us-east-1a"}) == []
    assert found("aws:rds:cluster", parameters={zone: "all"}) == [cluster["DBClusterArn"]]
    in_zone = {"availabilityZoneIdentifiers": "us-east-1b"}
    assert found("aws:rds:db", parameters=in_zone) == [writer["DBInstanceArn"]]
    of_cluster = [{"path": "DBClusterIdentifier", "values": ["shop"]}]
    assert found("aws:rds:db", filters=of_cluster, parameters=in_zone) == [writer["DBInstanceArn"]]
