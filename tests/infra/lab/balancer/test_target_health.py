"""A target's health in AWS's words."""

import pytest

from infra.lab.balancer.health_checks import Opinion
from infra.lab.balancer.target_health import Health, TargetHealth
from infra.lab.servers.machine import MachineState, Place

PLACE = Place(
    instance_id="i-1", zone="us-east-1a", private_ip="127.1.10.4", address="127.1.10.4", port=8000
)


def registered() -> TargetHealth:
    health = TargetHealth(deregistration_delay_s=10)
    health.register(PLACE)
    return health


def reason(opinion: Opinion | None, *, routed: bool | None) -> tuple[str, str | None]:
    health = registered()
    health.look(
        opinions={} if opinion is None else {PLACE.where: opinion},
        routed={} if routed is None else {PLACE.where: routed},
        now=1,
    )
    found = health.of("i-1")
    return found.state, found.reason


def test_a_target_unknown_to_envoy_is_being_registered() -> None:
    assert reason(None, routed=None) == ("initial", "Elb.RegistrationInProgress")


def test_a_target_that_has_not_passed_yet_is_initial() -> None:
    assert reason(Opinion.CHECKING, routed=False) == ("initial", "Elb.InitialHealthChecking")


def test_a_target_is_healthy_when_envoy_routes_to_it() -> None:
    assert reason(Opinion.HEALTHY, routed=True) == ("healthy", None)
    assert reason(Opinion.HEALTHY, routed=False)[0] == "initial"


def test_a_target_is_unhealthy_when_envoy_no_longer_routes_to_it() -> None:
    assert reason(Opinion.TIMED_OUT, routed=True) == ("healthy", None)
    assert reason(Opinion.TIMED_OUT, routed=False) == ("unhealthy", "Target.Timeout")
    assert reason(Opinion.FAILED, routed=False) == ("unhealthy", "Target.FailedHealthChecks")
    assert reason(Opinion.WRONG_STATUS, routed=False)[1] == "Target.ResponseCodeMismatch"


def test_it_is_known_for_how_long_a_target_has_been_unhealthy() -> None:
    health = registered()
    for now in (5.0, 8.0):
        health.look(opinions={PLACE.where: Opinion.FAILED}, routed={PLACE.where: False}, now=now)
    assert health.unhealthy_for_s("i-1", 9.0) == 4.0
    health.look(opinions={PLACE.where: Opinion.HEALTHY}, routed={PLACE.where: True}, now=9)
    assert health.unhealthy_for_s("i-1", 10.0) == 0


def test_a_deregistered_target_drains_and_then_is_gone() -> None:
    health = registered()
    health.deregister("i-1", 5)
    assert health.registered() == []
    health.look(opinions={}, routed=None, now=14)
    assert health.of("i-1").state == "draining"
    health.look(opinions={}, routed=None, now=16)
    assert health.instance_ids() == []
    assert health.of("i-1").reason == "Target.NotRegistered"


@pytest.mark.parametrize(
    ("state", "description"),
    [
        (MachineState.STOPPING, "Target is in the stopped state"),
        (MachineState.STOPPED, "Target is in the stopped state"),
        (MachineState.SHUTTING_DOWN, "Target is in the terminated state"),
        (MachineState.TERMINATED, "Target is in the terminated state"),
    ],
)
@pytest.mark.parametrize("opinion", [Opinion.HEALTHY, Opinion.FAILED, Opinion.CHECKING])
def test_an_instance_that_ec2_does_not_run_is_unused_whatever_its_checks_say(
    state: MachineState, description: str, opinion: Opinion
) -> None:
    health = registered()
    is_routed = opinion is Opinion.HEALTHY
    health.look(opinions={PLACE.where: opinion}, routed={PLACE.where: is_routed}, now=1)
    health.note_not_running({"i-1": state})
    assert health.registered() == []  # no new requests, and no checks
    health.look(opinions={}, routed={}, now=2)
    assert health.of("i-1") == Health("unused", "Target.InvalidState", description)
    assert health.instance_ids() == ["i-1"]
    assert not health.is_healthy("i-1")


def test_it_is_unused_when_envoy_no_longer_routes_to_it() -> None:
    health = registered()
    health.look(opinions={PLACE.where: Opinion.HEALTHY}, routed={PLACE.where: True}, now=1)
    health.note_not_running({"i-1": MachineState.STOPPED})
    health.look(opinions={}, routed=None, now=2)
    assert health.of("i-1").state == "healthy"
    health.look(opinions={}, routed={}, now=3)
    assert health.of("i-1").state == "unused"


def test_the_time_that_it_is_unused_is_not_time_of_failed_checks() -> None:
    health = registered()
    health.look(opinions={PLACE.where: Opinion.FAILED}, routed={PLACE.where: False}, now=1)
    health.note_not_running({"i-1": MachineState.STOPPED})
    health.look(opinions={}, routed={}, now=5)
    assert health.unhealthy_for_s("i-1", 9) == 0


def test_it_drains_when_it_is_deregistered() -> None:
    health = registered()
    health.note_not_running({"i-1": MachineState.STOPPED})
    health.deregister("i-1", 5)
    assert health.of("i-1").state == "draining"


def test_one_that_runs_again_is_checked_as_a_new_target_is() -> None:
    health = registered()
    health.note_not_running({"i-1": MachineState.STOPPED})
    health.look(opinions={}, routed={}, now=5)
    health.note_not_running({})
    assert health.registered() == [PLACE.where]
    assert health.of("i-1").reason == "Elb.RegistrationInProgress"
    health.look(opinions={PLACE.where: Opinion.HEALTHY}, routed={PLACE.where: True}, now=6)
    assert health.is_healthy("i-1")
