"""The group's decisions, on moto's records, with a clock that stands and servers that are none."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from unittest.mock import MagicMock

import pytest
from moto import mock_aws

from infra.lab.balancer.health_checks import Opinion
from infra.lab.balancer.target_health import TargetHealth
from infra.lab.cloud import account
from infra.lab.cloud.moto_replacements import MotoReplacements
from infra.lab.cloud.moto_server import MotoServer
from infra.lab.servers.addresses import Network
from infra.lab.servers.auto_scaling_group import AutoScalingGroup
from infra.lab.servers.machine import Machine, MachineState
from infra.lab.settings import LabSettings

SETTINGS = LabSettings(
    pending_s=0,
    boot_s=0,
    stopping_s=7,
    shutting_down_s=2,
    scaling_interval_s=5,
    unhealthy_limit_s=5,
    ec2_state_delay_s=16,
    health_check_grace_s=1000,
)
EC2_CAUSE = "in response to an EC2 health check indicating it has been terminated or stopped"
ELB_CAUSE = "in response to an ELB system health check failure"


@dataclass(kw_only=True)
class Fleet:
    """Two servers behind a load balancer that does what it is told at once."""

    group: AutoScalingGroup
    health: TargetHealth
    clock: list[float]
    sick: set[str] = field(default_factory=set)

    def pass_time(self, seconds: float) -> None:
        """Look after it in steps of half a second, as the supervisor does."""
        for _ in range(round(seconds * 2)):
            self.clock[0] += 0.5
            opinions = {
                each.place.where: Opinion.TIMED_OUT if name in self.sick else Opinion.HEALTHY
                for name, each in self.group.machines.items()
                if each.place.where in self.health.registered()
            }
            routed = {where: said is Opinion.HEALTHY for where, said in opinions.items()}
            self.health.look(opinions=opinions, routed=routed, now=self.clock[0])
            self.group.tick()

    @property
    def victim(self) -> Machine:
        """The first that was launched."""
        return next(iter(self.group.machines.values()))

    def cause(self) -> str:
        """Why the victim was taken out; empty while it has not been."""
        name = self.victim.place.instance_id
        ending = f"Terminating EC2 instance: {name}"
        found = [each.cause for each in self.group.activities if each.description == ending]
        assert len(found) < 2
        return found[0] if found else ""


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    for name in ("SilentAddress", "SilencedListener"):
        monkeypatch.setattr(f"infra.lab.servers.machine.{name}", MagicMock())
    monkeypatch.setattr("infra.lab.servers.auto_scaling_group.is_listening", lambda *_: True)
    clock = [1000.0]
    health = TargetHealth(deregistration_delay_s=10)
    network = Network(instance_port=8000)
    group = AutoScalingGroup(
        settings=SETTINGS,
        network=network,
        health=health,
        serve=lambda _: MagicMock(),
        now=lambda: clock[0],
    )
    replacements = MotoReplacements(
        lock=threading.RLock(),
        lab=MagicMock(),
        group=group,
        health=health,
        data_api=MagicMock(),
        initiating_s=0,
    )
    moto = MotoServer()
    replacements.install()
    moto.start()
    try:
        account.build(
            settings=SETTINGS,
            network=network,
            endpoint=moto.endpoint,
            load_balancer_port=80,
            database_port=5432,
        )
        made = Fleet(group=group, health=health, clock=clock)
        made.pass_time(10)
        assert group.is_up
        yield made
    finally:
        moto.stop()
        replacements.remove()
        network.close()
        mock_aws().reset()


@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_what_ec2_does_not_run_is_unused_and_replaced_at_once_even_in_grace(
    fleet: Fleet, verb: str
) -> None:
    name = fleet.victim.place.instance_id
    getattr(fleet.victim, verb)()
    fleet.pass_time(15.5)
    assert fleet.health.of(name).state == "healthy"
    assert fleet.cause() == ""
    fleet.pass_time(1)  # the group has not looked yet
    assert fleet.health.of(name).reason == "Target.InvalidState"
    assert len(fleet.health.registered()) == 1
    fleet.pass_time(SETTINGS.scaling_interval_s - 1)
    assert EC2_CAUSE in fleet.cause()
    assert fleet.health.of(name).state == "draining"
    fleet.pass_time(10)
    assert fleet.victim.state is MachineState.TERMINATED
    assert len(fleet.health.registered()) == 2


def test_a_loss_that_ec2_does_not_see_is_left_to_health_checks_and_grace(fleet: Fleet) -> None:
    fleet.victim.power_off()
    fleet.pass_time(30)
    assert fleet.health.of(fleet.victim.place.instance_id).state == "healthy"
    fleet.sick.add(fleet.victim.place.instance_id)
    fleet.pass_time(30)
    assert fleet.health.of(fleet.victim.place.instance_id).reason == "Target.Timeout"
    assert fleet.cause() == ""
    fleet.clock[0] += SETTINGS.health_check_grace_s
    fleet.pass_time(5)
    assert ELB_CAUSE in fleet.cause()


def test_one_that_was_started_again_in_time_is_kept(fleet: Fleet) -> None:
    fleet.victim.stop()
    fleet.pass_time(10)
    fleet.victim.start()
    fleet.pass_time(60)
    assert fleet.cause() == ""
    assert fleet.health.is_healthy(fleet.victim.place.instance_id)
