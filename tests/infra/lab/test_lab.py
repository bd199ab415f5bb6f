"""The lab as its users meet it: real processes, boto3, HTTP through the load balancer."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from infra import ROOT
from infra.lab.supervision.lab_folder import LabFolder, LabState
from infra.lab.supervision.raising import PrivateLab
from tests.liveness import is_alive

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

pytestmark = [pytest.mark.lab, pytest.mark.slow]

FAST = {
    **os.environ,
    "LAB_PROFILE": "fast",
    "LAB_SHOP_WORKERS": "1",
    # A server that is stopped is silent for three seconds until EC2's state has reached the load
    # balancer; its health checks would take seven to fail.
    "LAB_EC2_STATE_DELAY_S": "5",
    "LAB_UNHEALTHY_THRESHOLD": "8",
}
EXPERIMENT_STATES = ("pending", "initiating", "running", "completed")


class Account:
    """boto3 as a user has it."""

    def __init__(self, state: LabState) -> None:
        def client(service: Any) -> Any:
            return boto3.client(
                service,
                endpoint_url=state.aws_endpoint,
                region_name="us-east-1",
                aws_access_key_id="lab",
                aws_secret_access_key="lab",
            )

        self.ec2: EC2Client = client("ec2")
        self.elb = client("elbv2")
        self.asg = client("autoscaling")
        self.fis = client("fis")
        self.target_group = self.elb.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
        self.template = self.fis.list_experiment_templates()["experimentTemplates"][0]["id"]

    def health(self) -> dict[str, tuple[str, str]]:
        """Instance id -> (state, reason)."""
        described = self.elb.describe_target_health(TargetGroupArn=self.target_group)
        return {
            each["Target"]["Id"]: (
                each["TargetHealth"]["State"],
                each["TargetHealth"].get("Reason", ""),
            )
            for each in described["TargetHealthDescriptions"]
        }

    def states(self) -> dict[str, str]:
        """Instance id -> EC2 state."""
        return {
            instance["InstanceId"]: instance["State"]["Name"]
            for reservation in self.ec2.describe_instances()["Reservations"]
            for instance in reservation["Instances"]
        }

    def experiment(self, experiment_id: str) -> str:
        """Its state."""
        status = self.fis.get_experiment(id=experiment_id)["experiment"]["state"]["status"]
        assert isinstance(status, str)
        return status


def until(condition: Callable[[], bool], *, limit_s: float = 20.0) -> None:
    """Wait for something that has to come; how long it takes is not judged."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.1)


def status_of(url: str, *, timeout_s: float = 1.0) -> int:
    """HTTP status, 0 for none within the time."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (TimeoutError, urllib.error.URLError):
        return 0


def processes_of(folder: Path) -> list[psutil.Process]:
    """Everything that runs for the lab in this folder: known by its environment or arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            files = {str(folder), *(each.path for each in process.open_files())}
        except psutil.Error:
            continue
        if str(folder) in words or any(path.startswith(f"{folder}/") for path in files):
            found.append(process)
    return [each for each in found if each.pid != os.getpid()]


def command(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.lab", *words, "--folder", str(folder)],
        cwd=ROOT,
        env={**FAST, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLab:
    """A kept lab, as it was when it had come up."""

    folder: LabFolder
    state: LabState


# An application of the user's own: the shop, and a page more.
MY_COMPANY = """
from shop.wsgi import app

def web_shop(environ, start_response):
    if environ["PATH_INFO"] != "/mine":
        return app(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"mine"]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptLab]:
    path = tmp_path_factory.mktemp("kept")
    (path / "my_company.py").write_text(MY_COMPANY, encoding="utf-8")
    folder = LabFolder(path / "lab")
    assert command(folder.path, "status").returncode == 1
    up = command(folder.path, "up", LAB_SHOP_APP="my_company:web_shop", PYTHONPATH=str(path))
    assert up.returncode == 0, up.stderr
    state = folder.read()
    assert state is not None
    yield KeptLab(folder=folder, state=state)
    command(folder.path, "down")


def test_a_stopped_server_gives_502_then_silence_then_is_replaced(lab: KeptLab) -> None:
    account = Account(lab.state)
    before = account.health()
    assert [state for state, _ in before.values()] == ["healthy", "healthy"]

    started = account.fis.start_experiment(
        experimentTemplateId=account.template, clientToken="one", tags={"run": "r1"}
    )["experiment"]["id"]
    again = account.fis.start_experiment(
        experimentTemplateId=account.template, clientToken="one", tags={"run": "r1"}
    )
    assert again["experiment"]["id"] == started  # one token, one experiment

    seen: list[str] = []
    statuses: list[int] = []
    healths: list[tuple[str, str]] = []

    def watch() -> bool:
        state = account.experiment(started)
        if state not in seen[-1:]:
            seen.append(state)
        statuses.append(status_of(f"{lab.state.host}/products"))
        victim = account.fis.list_experiment_resolved_targets(experimentId=started)
        for target in victim["resolvedTargets"]:
            instance_id = target["targetInformation"]["arn"].rsplit("/", 1)[1]
            health = account.health().get(instance_id, ("gone", ""))
            if health not in healths[-1:]:
                healths.append(health)
        return bool(healths) and healths[-1][0] == "gone"

    until(watch, limit_s=40)
    # In this order; on a busy machine nobody looks while it is in one of them.
    assert [each for each in EXPERIMENT_STATES if each in seen] == seen
    assert seen[-1] == "completed"
    assert {502, 0, 200} <= set(statuses)
    assert statuses.index(502) < statuses.index(0)
    states = [state for state, _ in healths]
    assert [each for each in ("healthy", "unused", "draining", "gone") if each in states] == states
    assert dict(healths).get("unused") in {"Target.InvalidState", None}

    until(lambda: [state for state, _ in account.health().values()] == ["healthy"] * 2)
    new = set(account.health()) - set(before)
    assert len(new) == 1
    activities = account.asg.describe_scaling_activities(AutoScalingGroupName="chaos-lab-asg")
    latest, terminating, *_ = activities["Activities"]
    assert new.pop() in latest["Description"]
    assert latest["StatusCode"] == "Successful"
    assert "EC2 health check indicating it has been terminated or stopped" in terminating["Cause"]
    # Both zones are served again.
    described = account.asg.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]
    assert {each["AvailabilityZone"] for each in described} == {"us-east-1a", "us-east-1b"}
    assert {status_of(f"{lab.state.host}/products") for _ in range(6)} == {200}


def test_the_access_log_tells_of_each_request(lab: KeptLab) -> None:
    request = urllib.request.Request(
        f"{lab.state.host}/products", headers={"X-Amzn-Trace-Id": "Root=1-67891233-abcdef"}
    )
    with urllib.request.urlopen(request, timeout=5) as reply:
        served_by = json.load(reply)["served_by"]
    address = next(
        each["PrivateIpAddress"]
        for each in Account(lab.state).ec2.describe_instances(InstanceIds=[served_by])[
            "Reservations"
        ][0]["Instances"]
    )

    def line() -> str:
        lines = lab.folder.access_log.read_text(encoding="utf-8").splitlines()
        return next((each for each in lines if "Root=1-67891233-abcdef" in each), "")

    until(lambda: bool(line()))
    assert f" {address}:" in line()
    assert " 200 200 " in line()


def test_an_experiment_without_targets_fails_as_on_aws(lab: KeptLab) -> None:
    account = Account(lab.state)
    template = account.fis.create_experiment_template(
        clientToken="t1",
        description="nothing has this tag",
        roleArn="arn:aws:iam::123456789012:role/fis",
        stopConditions=[{"source": "none"}],
        targets={
            "none": {
                "resourceType": "aws:ec2:instance",
                "resourceTags": {"No": "such"},
                "selectionMode": "ALL",
            }
        },
        actions={"a": {"actionId": "aws:ec2:stop-instances", "targets": {"Instances": "none"}}},
    )["experimentTemplate"]
    assert template["id"].startswith("EXT")
    experiment = account.fis.start_experiment(experimentTemplateId=template["id"])["experiment"]
    until(lambda: account.experiment(experiment["id"]) == "failed")
    reason = account.fis.get_experiment(id=experiment["id"])["experiment"]["state"]["reason"]
    assert reason == "Target resolution returned empty set"


def test_a_rehearsal_resolves_targets_and_stops_nothing(lab: KeptLab) -> None:
    account = Account(lab.state)
    before = account.states()
    experiment = account.fis.start_experiment(
        experimentTemplateId=account.template, experimentOptions={"actionsMode": "skip-all"}
    )["experiment"]["id"]
    until(lambda: account.experiment(experiment) == "completed")
    assert account.fis.list_experiment_resolved_targets(experimentId=experiment)["resolvedTargets"]
    actions = account.fis.get_experiment(id=experiment)["experiment"]["actions"]
    assert {each["state"]["status"] for each in actions.values()} == {"skipped"}
    assert account.states() == before


def test_a_stopped_experiment_says_so(lab: KeptLab) -> None:
    account = Account(lab.state)
    experiment = account.fis.start_experiment(experimentTemplateId=account.template)["experiment"]
    until(lambda: account.experiment(experiment["id"]) in {"initiating", "running"})
    account.fis.stop_experiment(id=experiment["id"])
    until(lambda: account.experiment(experiment["id"]) == "stopped")
    until(lambda: [state for state, _ in account.health().values()].count("healthy") == 2)


def test_an_unknown_experiment_is_an_error(lab: KeptLab) -> None:
    with pytest.raises(ClientError, match="ResourceNotFound"):
        Account(lab.state).fis.get_experiment(id="EXPnone")


def test_instances_can_be_stopped_and_started_by_hand(lab: KeptLab) -> None:
    account = Account(lab.state)
    until(lambda: [state for state, _ in account.health().values()] == ["healthy"] * 2)
    instance_id = next(iter(account.health()))
    account.ec2.reboot_instances(InstanceIds=[instance_id])
    until(lambda: account.health()[instance_id][0] == "healthy")
    account.ec2.terminate_instances(InstanceIds=[instance_id])
    until(lambda: account.states()[instance_id] == "terminated")
    until(lambda: instance_id not in account.health())
    until(lambda: [state for state, _ in account.health().values()] == ["healthy"] * 2)


@pytest.fixture(scope="module")
def other() -> Iterator[PrivateLab]:
    """One beside it, set otherwise in all that a user may set."""
    other = PrivateLab({**FAST, "LAB_ONE_ADDRESS": "1", "SHOP_SCHEMA": "article"}, progress=print)
    yield other
    other.close()


def test_where_there_is_one_address_servers_differ_by_port(other: PrivateLab) -> None:
    addresses = [each.address for each in other.state.instances]
    assert all(each.startswith("127.0.0.1:") for each in addresses)
    assert len(set(addresses)) == 2
    assert {status_of(f"{other.state.host}/products") for _ in range(4)} == {200}


def test_the_shops_own_settings_reach_its_servers(other: PrivateLab) -> None:
    order = urllib.request.Request(
        f"{other.state.host}/orders",
        data=b'{"product_id": 1, "quantity": 1}',
        headers={"Content-Type": "application/json", "Idempotency-Key": "k"},
    )
    with urllib.request.urlopen(order, timeout=5) as reply:
        assert reply.headers["Idempotency-Ignored"] == "true"


def test_a_second_lab_runs_beside_the_first_and_leaves_nothing_when_killed(
    lab: KeptLab, other: PrivateLab
) -> None:
    folder = other.folder.path
    assert status_of(f"{other.state.host}/products") == 200
    assert status_of(f"{lab.state.host}/products") == 200
    started = processes_of(folder)
    assert len(started) > 4
    os.kill(other.state.pid, signal.SIGKILL)
    until(lambda: not processes_of(folder))
    until(lambda: not any(is_alive(each) for each in started))
    until(lambda: not folder.exists())
    assert status_of(f"{lab.state.host}/products") == 200


def test_the_servers_serve_whatever_application_a_user_names(lab: KeptLab) -> None:
    with urllib.request.urlopen(f"{lab.state.host}/mine", timeout=5) as reply:
        assert reply.read() == b"mine"


def test_a_kept_lab_is_up_tells_of_dead_parts_and_goes_down(lab: KeptLab) -> None:
    """The last one to need it."""
    kept = lab.folder.path
    assert "already" in command(kept, "up").stderr
    assert command(kept, "status").returncode == 0
    for process in processes_of(kept):
        if process.name() == "envoy":
            process.kill()
    until(lambda: command(kept, "status").returncode == 1)
    shown = command(kept, "status").stdout
    assert "load balancer (Envoy)" in shown
    assert "not running" in shown
    started = processes_of(kept)
    assert command(kept, "down").returncode == 0
    until(lambda: not any(is_alive(each) for each in started))
    assert not lab.folder.is_supervised()
    assert "none" in command(kept, "down").stdout


def test_a_bad_setting_is_one_line_and_starts_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.lab", "up", "--folder", str(tmp_path / "lab")],
        cwd=ROOT,
        env={**FAST, "LAB_STOPPING_S": "soon"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 64
    assert done.stderr == "lab: LAB_STOPPING_S=soon: must be a number of seconds\n"
    assert not (tmp_path / "lab").exists()
