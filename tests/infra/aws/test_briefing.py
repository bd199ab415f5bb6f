"""What is said and asked before a run on AWS, against moto and against AWS on a bad day."""

import json
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from infra.aws.briefing import Briefing, NotFit, brief, confirm
from infra.aws.stack import Stack
from tests.data_api import served
from tests.infra.aws.test_stack import outputs

ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # moto's records are of the process, and outlive the server that shows them.
    urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", b"", timeout=30).close()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def surroundings(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")


@cache
def client(service: str, endpoint: str) -> Any:
    name: Any = service
    return boto3.client(
        name,
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id="lab",
        aws_secret_access_key="lab",
    )


@pytest.fixture(scope="module")
def stack(endpoint: str) -> Stack:
    """An account with two servers that bear the tags, one that does not, and a template."""
    ec2 = client("ec2", endpoint)
    tags = [{"Key": "ChaosTarget", "Value": "true"}, {"Key": "Project", "Value": "chaos-lab"}]
    image = "ami-12c6146b"  # one that moto has: to have it list all takes it seconds
    servers = ec2.run_instances(
        ImageId=image,
        MinCount=2,
        MaxCount=2,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"]
    ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)
    elb = client("elbv2", endpoint)
    group = elb.create_target_group(
        Name="t", Protocol="HTTP", Port=80, VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    )["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(
        TargetGroupArn=group, Targets=[{"Id": each["InstanceId"]} for each in servers]
    )
    return Stack.parse(
        outputs(
            region=REGION,
            account_id=ACCOUNT,
            target_group_arn=group,
            fis_experiment_template_id=template(endpoint, "stop-one-server"),
        ),
        source="a test",
    )


def template(endpoint: str, name: str) -> str:
    made = client("fis", endpoint).create_experiment_template(
        clientToken=str(uuid.uuid4()),
        description="a test's",
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/fis",
        stopConditions=[{"source": "none"}],
        targets={},
        actions={"stop": {"actionId": "aws:ec2:stop-instances"}},
        tags={"Name": name},
    )
    return str(made["experimentTemplate"]["id"])


def test_it_says_who_where_what_and_how_much(stack: Stack) -> None:
    found = brief(stack, templates=["stop-one-server"])
    told = "\n".join(found.lines())
    assert f"account {ACCOUNT}, {REGION}" in told
    assert stack.host in told
    assert f"stop-one-server ({stack.fis_experiment_template_id}): aws:ec2:stop-instances" in told
    assert len(found.candidates) == 2
    assert set(found.candidates) == set(found.healthy)
    assert all(each in told for each in found.candidates)
    assert "USD" in told


def test_another_template_is_found_by_its_name_on_any_page(stack: Stack, endpoint: str) -> None:
    wanted = template(endpoint, "another")
    for number in range(101):
        template(endpoint, f"one of many {number}")
    found = brief(stack, templates=["another", stack.fis_experiment_template_id])
    assert [each.id for each in found.templates] == [wanted, stack.fis_experiment_template_id]
    with pytest.raises(NotFit, match="0 FIS templates are named 'none'; Terraform made"):
        brief(stack, templates=["none"])
    template(endpoint, "another")
    with pytest.raises(NotFit, match="2 FIS templates are named 'another'"):
        brief(stack, templates=["another"])


def test_another_account_is_refused(stack: Stack) -> None:
    other = Stack.parse(outputs(account_id="999999999999"), source="a test")
    with pytest.raises(NotFit, match=f"of account {ACCOUNT}, and Terraform made the lab in 9999"):
        brief(other, templates=[])


def test_a_group_without_a_healthy_server_is_refused(stack: Stack, endpoint: str) -> None:
    ec2, elb = client("ec2", endpoint), client("elbv2", endpoint)
    empty = elb.create_target_group(
        Name="empty", Protocol="HTTP", Port=80, VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    )["TargetGroups"][0]["TargetGroupArn"]
    alone = Stack.parse(
        outputs(
            region=REGION,
            account_id=ACCOUNT,
            target_group_arn=empty,
            fis_experiment_template_id=stack.fis_experiment_template_id,
        ),
        source="a test",
    )
    with pytest.raises(NotFit, match="no server is healthy"):
        brief(alone, templates=["stop-one-server"])


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("ExpiredToken", "get new credentials"),
        ("AccessDenied", "run_policy_arn"),
        ("Throttling", "nothing was touched"),
    ],
)
def test_what_aws_refuses_is_one_line(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, code: str, advice: str
) -> None:
    def refuse(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        error = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        body = f"<ErrorResponse>{error}</ErrorResponse>"
        start_response("403 Refused", [("Content-Length", str(len(body)))])
        return [body.encode()]

    with served(refuse) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(NotFit) as caught:
            brief(stack, templates=["stop-one-server"])
    assert "AWS does not tell who we are" in str(caught.value)
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_profile_that_there_is_not_is_one_line(stack: Stack) -> None:
    with pytest.raises(NotFit, match="nobodys"):
        brief(stack, templates=[], profile="nobodys")


FOUND = Briefing(
    caller="arn:aws:iam::1:user/me",
    account="1",
    region=REGION,
    host="http://shop",
    templates=(),
    candidates=("i-1",),
    healthy=("i-1",),
)


@pytest.mark.parametrize(("answer", "is_meant"), [("yes", True), ("y", False), ("", False)])
def test_only_yes_is_yes(answer: str, is_meant: bool) -> None:
    said: list[str] = []
    ask: Callable[[str], str] = lambda _question: answer  # noqa: E731
    if is_meant:
        confirm(FOUND, is_told_yes=False, ask=ask, say=said.append)
    else:
        with pytest.raises(NotFit, match="nothing was touched"):
            confirm(FOUND, is_told_yes=False, ask=ask, say=said.append)
    assert said == list(FOUND.lines())


def test_where_nobody_can_be_asked_yes_has_to_be_said_before() -> None:
    confirm(FOUND, is_told_yes=True, ask=None, say=lambda _line: None)
    with pytest.raises(NotFit, match="YES=1"):
        confirm(FOUND, is_told_yes=False, ask=None, say=lambda _line: None)


def test_what_is_printed_is_json_that_terraform_might_print() -> None:
    assert json.loads(outputs())["region"]["value"] == "eu-west-1"
