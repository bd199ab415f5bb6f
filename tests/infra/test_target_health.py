"""A target's health in AWS's words."""

from __future__ import annotations

from infra.lab.envoy import Opinion, TargetView
from infra.lab.machine import Place
from infra.lab.target_health import Health, TargetHealth

PLACE = Place(
    instance_id="i-1", zone="us-east-1a", private_ip="127.1.10.4", address="127.1.10.4", port=8000
)


def health_after(*opinions: tuple[float, Opinion | None], asked_at: float) -> Health:
    health = TargetHealth(deregistration_delay_s=10, first_checks_s=30)
    health.register(PLACE, 0)
    for at, opinion in opinions:
        views = {}
        if opinion is not None:
            view = TargetView(address=PLACE.address, port=PLACE.port, opinion=opinion)
            views[PLACE.address, PLACE.port] = view
        health.look(views, at)
    return health.of("i-1", asked_at)


def test_a_target_unknown_to_envoy_is_being_registered() -> None:
    assert health_after(asked_at=1).reason == "Elb.RegistrationInProgress"


def test_a_new_target_that_fails_its_first_checks_is_initial() -> None:
    health = health_after((1, Opinion.FAILED), asked_at=2)
    assert (health.state, health.reason) == ("initial", "Elb.InitialHealthChecking")


def test_a_new_target_that_goes_on_failing_is_unhealthy() -> None:
    assert health_after((1, Opinion.FAILED), asked_at=31).state == "unhealthy"


def test_a_target_that_was_healthy_is_unhealthy_at_once() -> None:
    health = health_after((1, Opinion.HEALTHY), (2, Opinion.TIMED_OUT), asked_at=2)
    assert (health.state, health.reason) == ("unhealthy", "Target.Timeout")


def test_a_target_that_answers_wrongly_has_failed_its_checks() -> None:
    health = health_after((1, Opinion.HEALTHY), (2, Opinion.FAILED), asked_at=2)
    assert health.reason == "Target.FailedHealthChecks"


def test_a_deregistered_target_drains_and_then_is_gone() -> None:
    health = TargetHealth(deregistration_delay_s=10, first_checks_s=30)
    health.register(PLACE, 0)
    health.deregister("i-1", 5)
    assert health.routed() == []
    health.look({}, 14)
    assert health.of("i-1", 14).state == "draining"
    health.look({}, 16)
    assert health.instance_ids() == []
    assert health.of("i-1", 16).reason == "Target.NotRegistered"
