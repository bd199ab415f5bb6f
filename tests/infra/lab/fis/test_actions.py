"""Each of FIS's actions, carried out: what clients, load balancer, EC2 and database then show."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg
import pytest

from infra import ROOT
from infra.lab.cloud.names import CLUSTER, CREDENTIALS, REGION, WRITER
from infra.lab.supervision.lab_folder import LabFolder, LabState
from tests.liveness import is_alive

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# The lab's own command, in which actions are also looked for in one more folder.
SERVE = """
import sys
import infra.lab.fis.actions as actions
actions.__path__.append(sys.argv.pop(1))
from infra.lab.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
SETTINGS = {
    **os.environ,
    "LAB_PROFILE": "fast",
    "LAB_SHOP_WORKERS": "2",
    # Nothing is replaced behind a test's back, unless it waits for it.
    "LAB_UNHEALTHY_LIMIT_S": "8",
    "LAB_EC2_STATE_DELAY_S": "8",
    "LAB_DATABASE_AWAY_S": "1",
    "LAB_STOPPING_S": "2.5",
}
SUBNETS = {"Subnets": "aws:ec2:subnet"}
SERVERS = {"Instances": "aws:ec2:instance"}


def example() -> str:
    """The one complete example of the page that teaches how to add a fault."""
    page = (ROOT / "docs" / "adding-a-fault.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    return str(code)


def until(condition: Callable[[], bool], *, limit_s: float = 40.0) -> None:
    """Wait for something that has to come; how long it takes is not judged."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.2)


class Lab:
    """A raised lab as a user has it: boto3, HTTP, SQL."""

    def __init__(self, state: LabState) -> None:
        def client(service: Any) -> Any:
            return boto3.client(
                service,
                endpoint_url=state.aws_endpoint,
                region_name=REGION,
                aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            )

        self.state = state
        self.fis, self.ec2, self.elb = client("fis"), client("ec2"), client("elbv2")

    def begin(
        self,
        action_id: str,
        types: dict[str, str],
        resources: Sequence[str],
        **parameters: str,
    ) -> str:
        """An experiment with this one action on these resources; returns its id."""
        ((key, resource_type),) = types.items()
        template = self.fis.create_experiment_template(
            clientToken=str(uuid.uuid4()),
            description=action_id,
            roleArn="arn:aws:iam::123456789012:role/fis",
            stopConditions=[{"source": "none"}],
            targets={
                "t": {
                    "resourceType": resource_type,
                    "resourceArns": [self._arn(resource_type, each) for each in resources],
                    "selectionMode": "ALL",
                }
            },
            actions={"a": {"actionId": action_id, "targets": {key: "t"}, "parameters": parameters}},
        )["experimentTemplate"]["id"]
        started = self.fis.start_experiment(experimentTemplateId=template)["experiment"]["id"]
        until(lambda: self.status(started) not in {"pending", "initiating"})
        return str(started)

    @staticmethod
    def _arn(resource_type: str, name: str) -> str:
        _, service, kind = resource_type.split(":")
        separator = ":" if service == "rds" else "/"
        return f"arn:aws:{service}:{REGION}:123456789012:{kind}{separator}{name}"

    def status(self, experiment: str) -> str:
        """Of an experiment."""
        return str(self.fis.get_experiment(id=experiment)["experiment"]["state"]["status"])

    def reason(self, experiment: str) -> str:
        """Why it is in that state."""
        return str(self.fis.get_experiment(id=experiment)["experiment"]["state"]["reason"])

    def healthy(self) -> list[str]:
        """Ids of healthy targets."""
        (group,) = self.elb.describe_target_groups()["TargetGroups"]
        described = self.elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
        return [
            each["Target"]["Id"]
            for each in described["TargetHealthDescriptions"]
            if each["TargetHealth"]["State"] == "healthy"
        ]

    def instance(self, instance_id: str) -> dict[str, Any]:
        """As DescribeInstances."""
        described = self.ec2.describe_instances(InstanceIds=[instance_id])
        found: dict[str, Any] = described["Reservations"][0]["Instances"][0]
        return found

    def place(self, instance_id: str) -> tuple[str, int]:
        """Where it listens."""
        return self.instance(instance_id)["PrivateIpAddress"], 8000

    def processes(self, instance_id: str) -> list[psutil.Process]:
        """Of its server."""
        address = f"{self.place(instance_id)[0]}:8000"
        return [
            each
            for each in psutil.process_iter(["cmdline"])
            if address in (each.info["cmdline"] or ())
        ]


def answer_of(place: tuple[str, int], *, timeout_s: float = 0.7) -> str:
    """What a request to a server itself comes to: its status line, `silent` or `refused`."""
    try:
        with socket.create_connection(place, timeout=timeout_s) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return connection.recv(100).decode().partition("\r\n")[0] or "closed"
    except TimeoutError:
        return "silent"
    except OSError:
        return "refused"


def is_up(place: tuple[str, int]) -> bool:
    """Whether a server answers."""
    return answer_of(place).endswith("200 OK")


@pytest.fixture(scope="module")
def raised() -> Iterator[Lab]:
    """One lab for all, with the example of the documentation among its actions."""
    with tempfile.TemporaryDirectory(prefix="chaos-lab-test-") as name:
        path = Path(name)
        path.chmod(0o711)
        actions = path / "actions"
        actions.mkdir()
        (actions / "hiccup.py").write_text(example(), encoding="utf-8")
        folder = LabFolder(path / "lab")
        folder.path.mkdir(mode=0o711)
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(actions), "serve", str(folder.path), "--private"],
            stdin=subprocess.PIPE,
            cwd=ROOT,
            env=SETTINGS,
        )
        try:

            def has_come_up() -> bool:
                assert process.poll() is None
                state = folder.read()
                return state is not None and state.status == "up"

            until(has_come_up, limit_s=90)
            state = folder.read()
            assert state is not None
            yield Lab(state)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


@pytest.fixture
def lab(raised: Lab) -> Lab:
    """The lab with two healthy servers, whatever the test before has done."""
    until(lambda: len(raised.healthy()) == 2)
    return raised


def test_a_reboot_ends_in_good_order_and_keeps_the_address(lab: Lab) -> None:
    victim = lab.healthy()[0]
    place, before = lab.place(victim), lab.processes(victim)
    experiment = lab.begin("aws:ec2:reboot-instances", SERVERS, [victim])
    until(lambda: lab.status(experiment) == "completed")
    until(lambda: not any(is_alive(each) for each in before))
    until(lambda: is_up(place))
    assert lab.instance(victim)["State"]["Name"] == "running"
    assert {each.pid for each in lab.processes(victim)}.isdisjoint({each.pid for each in before})


def test_a_stopped_server_is_started_again_after_the_duration(lab: Lab) -> None:
    victim = lab.healthy()[0]
    place = lab.place(victim)
    experiment = lab.begin(
        "aws:ec2:stop-instances", SERVERS, [victim], startInstancesAfterDuration="PT4S"
    )
    until(lambda: lab.instance(victim)["State"]["Name"] == "stopped")
    assert answer_of(place) == "silent"
    assert lab.status(experiment) == "running"
    until(lambda: lab.status(experiment) == "completed")
    assert lab.instance(victim)["State"]["Name"] == "running"
    until(lambda: is_up(place))


def test_a_subnet_that_is_cut_off_is_silent_and_goes_on_with_what_it_was_doing(lab: Lab) -> None:
    victim = lab.healthy()[0]
    place, before = lab.place(victim), {each.pid for each in lab.processes(victim)}
    subnet = lab.instance(victim)["SubnetId"]
    with socket.create_connection(place, timeout=10) as kept:
        experiment = lab.begin(
            "aws:network:disrupt-connectivity", SUBNETS, [subnet], duration="PT3S", scope="all"
        )
        assert lab.status(experiment) == "running"
        kept.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert answer_of(place) == "silent"
        with pytest.raises(TimeoutError):
            socket.create_connection(place, timeout=0.5).close()
        assert {each.status() for each in lab.processes(victim)} == {psutil.STATUS_STOPPED}
        until(lambda: lab.status(experiment) == "completed")
        assert kept.recv(100).startswith(b"HTTP/1.0 200")  # asked while it was cut off
    until(lambda: is_up(place))
    assert {each.pid for each in lab.processes(victim)} == before


def test_a_cut_that_is_stopped_is_healed(lab: Lab) -> None:
    victim = lab.healthy()[0]
    experiment = lab.begin(
        "aws:network:disrupt-connectivity",
        SUBNETS,
        [lab.instance(victim)["SubnetId"]],
        duration="PT10M",
        scope="availability-zone",
    )
    assert answer_of(lab.place(victim)) == "silent"
    lab.fis.stop_experiment(id=experiment)
    until(lambda: lab.status(experiment) == "stopped")
    until(lambda: is_up(lab.place(victim)))


def test_the_documentations_example_makes_a_server_stand_still(lab: Lab) -> None:
    victim = lab.healthy()[0]
    experiment = lab.begin("lab:hiccup", SERVERS, [victim], duration="PT2S")
    assert answer_of(lab.place(victim)) == "silent"
    until(lambda: lab.status(experiment) == "completed")
    until(lambda: is_up(lab.place(victim)))


def test_a_killed_process_is_killed_and_an_unknown_one_fails_the_action(lab: Lab) -> None:
    victim = lab.healthy()[0]
    arn = f"arn:aws:ssm:{REGION}::document/AWSFIS-Run-Kill-Process"
    failed = lab.begin(
        "aws:ssm:send-command",
        SERVERS,
        [victim],
        documentArn=arn,
        documentParameters=json.dumps({"ProcessName": "no-such-program"}),
        duration="PT1M",
    )
    assert lab.status(failed) == "failed"
    assert "no-such-program" in lab.reason(failed)
    processes = lab.processes(victim)
    assert processes
    done = lab.begin(
        "aws:ssm:send-command",
        SERVERS,
        [victim],
        documentArn=arn,
        documentParameters=json.dumps({"ProcessName": "gunicorn", "Signal": "SIGKILL"}),
        duration="PT1M",
    )
    until(lambda: lab.status(done) == "completed")
    until(lambda: not any(is_alive(each) for each in processes))
    assert answer_of(lab.place(victim)) == "refused"
    until(lambda: victim not in lab.healthy())
    lab.ec2.reboot_instances(InstanceIds=[victim])  # sooner than a new one comes


def test_busy_processors_are_processes_that_end_with_the_experiment(lab: Lab) -> None:
    experiment = lab.begin(
        "aws:ssm:send-command",
        SERVERS,
        [lab.healthy()[0]],
        documentArn=f"arn:aws:ssm:{REGION}::document/AWSFIS-Run-CPU-Stress",
        documentParameters=json.dumps({"DurationSeconds": "60", "CPU": "1", "LoadPercent": "50"}),
        duration="PT1M",
    )

    def burners() -> list[psutil.Process]:
        return [
            each
            for each in psutil.Process(lab.state.pid).children(recursive=True)
            if any(word.endswith("cpu_load.py") for word in each.cmdline())
        ]

    until(lambda: len(burners()) == 1)
    until(lambda: burners()[0].cpu_times().user > 0.2)
    lab.fis.stop_experiment(id=experiment)
    until(lambda: lab.status(experiment) == "stopped")
    assert burners() == []


@pytest.mark.parametrize("document", ["Network-Latency", "Network-Packet-Loss"])
def test_what_cannot_be_had_here_fails_with_the_reason(lab: Lab, document: str) -> None:
    experiment = lab.begin(
        "aws:ssm:send-command",
        SERVERS,
        [lab.healthy()[0]],
        documentArn=f"arn:aws:ssm:{REGION}::document/AWSFIS-Run-{document}",
        duration="PT1M",
    )
    assert lab.status(experiment) == "failed"
    assert "netem" in lab.reason(experiment)


@pytest.mark.parametrize(
    ("action", "types", "name"),
    [
        ("aws:rds:failover-db-cluster", {"Clusters": "aws:rds:cluster"}, CLUSTER),
        ("aws:rds:reboot-db-instances", {"DBInstances": "aws:rds:db"}, WRITER),
    ],
)
def test_the_writer_goes_breaks_its_sessions_and_comes_back(
    lab: Lab, action: str, types: dict[str, str], name: str
) -> None:
    with psycopg.connect(lab.state.database_url, autocommit=True) as session:
        experiment = lab.begin(action, types, [name])

        def is_broken() -> bool:
            try:
                session.execute("SELECT 1")
            except psycopg.OperationalError:
                return True
            return False

        until(is_broken)
    until(lambda: lab.status(experiment) == "completed")
    with psycopg.connect(lab.state.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM products").fetchone() == (10,)

    def can_order() -> bool:
        request = urllib.request.Request(
            f"{lab.state.host}/orders",
            data=b'{"product_id": 1, "quantity": 1}',
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                return bool(reply.status == 201)
        except OSError:
            return False

    until(can_order)
    assert len(lab.healthy()) == 2  # the load balancer has nothing against the servers


def test_a_server_without_power_leaves_its_sessions_open_until_it_is_replaced(lab: Lab) -> None:
    victim = lab.healthy()[0]
    with psycopg.connect(lab.state.database_url) as connection:
        # Have the server open a session of its own.
        urllib.request.urlopen(f"http://{lab.place(victim)[0]}:8000/products", timeout=5).close()

        def sessions() -> int:
            found = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s",
                (f"%{victim}",),
            ).fetchone()
            connection.rollback()
            assert found is not None
            return int(found[0])

        before = sessions()
        assert before > 0
        experiment = lab.begin("lab:power-off", SERVERS, [victim])
        until(lambda: lab.status(experiment) == "completed")
        assert answer_of(lab.place(victim)) == "silent"
        assert lab.instance(victim)["State"]["Name"] == "running"
        until(lambda: victim not in lab.healthy())
        assert sessions() == before
        lab.ec2.terminate_instances(InstanceIds=[victim])  # sooner than its group does
        until(lambda: lab.instance(victim)["State"]["Name"] == "terminated")
        until(lambda: sessions() == 0)
        assert lab.processes(victim) == []


def test_a_terminated_server_is_replaced(lab: Lab) -> None:
    victim = lab.healthy()[0]
    experiment = lab.begin("aws:ec2:terminate-instances", SERVERS, [victim])
    until(lambda: lab.status(experiment) == "completed")
    assert lab.instance(victim)["State"]["Name"] == "terminated"
    until(lambda: victim not in lab.healthy() and len(lab.healthy()) == 2)


def test_a_lab_that_dies_ends_its_frozen_servers_too(lab: Lab) -> None:
    """The last one: it takes the lab with it."""
    victim = lab.healthy()[0]
    processes = lab.processes(victim)
    assert processes
    lab.begin("lab:power-off", SERVERS, [victim])
    psutil.Process(lab.state.pid).kill()
    until(lambda: not any(is_alive(each) for each in processes))
