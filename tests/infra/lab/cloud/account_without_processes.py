"""The lab's account with its group at work, but no server, no Envoy and no database behind it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.backends import get_backend

from infra.lab.balancer.health_checks import Opinion
from infra.lab.balancer.target_health import TargetHealth
from infra.lab.cloud import account
from infra.lab.cloud.clients import clients_of
from infra.lab.cloud.moto_replacements import MotoReplacements
from infra.lab.cloud.moto_server import MotoServer, backend
from infra.lab.cloud.names import ACCOUNT, GROUP
from infra.lab.database.data_api import DataApi
from infra.lab.database.failover import Writer
from infra.lab.fis.servers_and_database import Database, Lab, Servers
from infra.lab.processes.ports import free_port
from infra.lab.servers.addresses import Network
from infra.lab.servers.auto_scaling_group import AutoScalingGroup
from infra.lab.settings import PROFILES, LabSettings

SETTINGS = replace(
    PROFILES["fast"],
    desired_capacity=2,
    max_size=4,
    health_check_grace_s=0.5,
    scaling_interval_s=0.05,
    deregistration_delay_s=1.0,
    pending_s=0.05,
    stopping_s=0.6,
    shutting_down_s=0.3,
    unhealthy_limit_s=0.1,
    database_away_s=0.6,
)
DATABASE_PORT = 20_123


class FakeServer:
    """A server, or a database, that does as it is told at once."""

    pid = 0

    def __init__(self) -> None:
        self.is_running = True

    def is_alive(self) -> bool:
        return self.is_running

    is_ready = is_alive

    def launch(self) -> None:
        self.is_running = True

    def end(self, *_: object) -> None:
        self.is_running = False

    kill = send = crash = shut_down = end

    def clear_away(self) -> None:
        pass


class Account:
    """boto3 as a user has it, and what the lab makes of it."""

    def __init__(self, endpoint: str, health: TargetHealth) -> None:
        self.health = health
        # Instances that fail their health checks.
        self.failing: set[str] = set()
        clients = clients_of(endpoint)
        self.ec2, self.elb, self.asg = (clients(each) for each in ("ec2", "elbv2", "autoscaling"))
        self.rds = clients("rds")
        self.clients = clients

    @property
    def target_group(self) -> str:
        return str(self.elb.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"])

    @property
    def load_balancer(self) -> str:
        return str(self.elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"])

    def group(self) -> Any:
        return self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])[
            "AutoScalingGroups"
        ][0]

    def state(self, instance: str) -> str:
        """As EC2 tells it."""
        described = self.ec2.describe_instances(InstanceIds=[instance])
        return str(described["Reservations"][0]["Instances"][0]["State"]["Name"])

    def members(self) -> dict[str, tuple[str, str]]:
        """Instance id -> state in the group, and health."""
        return {
            each["InstanceId"]: (each["LifecycleState"], each["HealthStatus"])
            for each in self.group()["Instances"]
        }

    def targets(self) -> dict[str, str]:
        """Instance id -> target health."""
        described = self.elb.describe_target_health(TargetGroupArn=self.target_group)
        return {
            each["Target"]["Id"]: each["TargetHealth"]["State"]
            for each in described["TargetHealthDescriptions"]
        }

    def causes(self) -> str:
        """Of all that the group has done."""
        activities = self.asg.describe_scaling_activities(AutoScalingGroupName=GROUP)["Activities"]
        return "\n".join(each["Cause"] for each in activities)

    def is_whole(self, servers: int = 2) -> bool:
        members = self.members()
        return (
            list(members.values()) == [("InService", "Healthy")] * servers
            and list(self.targets().values()) == ["healthy"] * servers
            and {self.state(each) for each in members} == {"running"}
        )


def until(condition: Callable[[], bool], *, limit_s: float = 20.0) -> None:
    """Wait for what has to come."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.03)


def stays(condition: Callable[[], bool], *, for_s: float = 0.4) -> bool:
    """Whether it is so for some turns of the group (eight of 0.05 s)."""
    over = time.monotonic() + for_s
    while time.monotonic() < over:
        if not condition():
            return False
        time.sleep(0.03)
    return True


def refused(call: Callable[..., object], **parameters: Any) -> tuple[str, int]:
    """The error's code and HTTP status."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response: Any = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@contextmanager
def raised(settings: LabSettings = SETTINGS) -> Iterator[Account]:
    """An account with two servers in service."""
    _forget_all()
    lock, is_over = threading.RLock(), threading.Event()
    health = TargetHealth(deregistration_delay_s=settings.deregistration_delay_s)
    network = Network(instance_port=free_port())
    group = AutoScalingGroup(
        settings=settings,
        network=network,
        health=health,
        serve=lambda _: FakeServer(),  # type: ignore[arg-type,return-value]
        now=time.monotonic,
    )
    group.is_up = True
    writer = Writer(
        FakeServer(),  # type: ignore[arg-type]
        away_s=settings.database_away_s,
        now=time.monotonic,
    )
    answers = MotoReplacements(
        lock=lock,
        lab=Lab(
            servers=Servers(machines=group.machines, run=None),  # type: ignore[arg-type]
            database=Database(writer),
        ),
        group=group,
        health=health,
        data_api=DataApi(""),
        initiating_s=0,
    )

    def go_on() -> None:
        while not is_over.wait(0.02):
            with lock:
                failing = {
                    machine.place.where
                    for name, machine in group.machines.items()
                    if name in made.failing
                }
                places = health.registered()
                health.look(
                    opinions={
                        each: Opinion.FAILED if each in failing else Opinion.HEALTHY
                        for each in places
                    },
                    routed={each: each not in failing for each in places},
                    now=time.monotonic(),
                )
                group.tick()
                writer.tick()

    server, thread = MotoServer(), threading.Thread(target=go_on)
    answers.install()
    server.start()
    account.build(
        settings=settings,
        network=network,
        endpoint=server.endpoint,
        load_balancer_port=free_port(),
        database_port=DATABASE_PORT,
    )
    made = Account(server.endpoint, health)
    thread.start()
    until(made.is_whole)
    yield made
    is_over.set()
    thread.join()
    group.close()
    server.stop()
    answers.remove()
    network.close()
    _forget_all()


def _forget_all() -> None:
    for each in ("autoscaling", "elbv2", "ec2", "rds"):
        backend(each).reset()
    get_backend("iam")[ACCOUNT]["aws"].reset()
