"""The target group's health, which is Envoy's own view in AWS's words."""

from __future__ import annotations

from dataclasses import dataclass

from infra.lab.envoy import Opinion, TargetView
from infra.lab.machine import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """State, reason and description as DescribeTargetHealth gives them."""

    state: str
    reason: str | None = None
    description: str | None = None


@dataclass(slots=True)
class _Target:
    place: Place
    registered_at: float
    was_healthy: bool = False
    deregistered_at: float | None = None


_HEALTHY = Health(state="healthy")
_REGISTERING = Health(
    state="initial",
    reason="Elb.RegistrationInProgress",
    description="Target registration is in progress",
)
_FIRST_CHECKS = Health(
    state="initial",
    reason="Elb.InitialHealthChecking",
    description="Initial health checks in progress",
)
_TIMED_OUT = Health(state="unhealthy", reason="Target.Timeout", description="Request timed out")
_FAILED = Health(
    state="unhealthy", reason="Target.FailedHealthChecks", description="Health checks failed"
)
_DRAINING = Health(
    state="draining",
    reason="Target.DeregistrationInProgress",
    description="Target deregistration is in progress",
)
_NOT_REGISTERED = Health(
    state="unused",
    reason="Target.NotRegistered",
    description="Target is not registered to the target group",
)
_IN_WORDS = {
    Opinion.CHECKING: _FIRST_CHECKS,
    Opinion.HEALTHY: _HEALTHY,
    Opinion.FAILED: _FAILED,
    Opinion.TIMED_OUT: _TIMED_OUT,
}


class TargetHealth:
    """Who is registered, and how each is."""

    def __init__(self, *, deregistration_delay_s: float, first_checks_s: float) -> None:
        self._deregistration_delay_s = deregistration_delay_s
        self._first_checks_s = first_checks_s
        self._targets: dict[str, _Target] = {}
        self._views: dict[tuple[str, int], TargetView] = {}

    def register(self, place: Place, now: float) -> None:
        """Send requests to this machine once its checks allow it."""
        self._targets[place.instance_id] = _Target(place=place, registered_at=now)

    def deregister(self, instance_id: str, now: float) -> None:
        """Send it no new requests; it is draining for a while."""
        target = self._targets.get(instance_id)
        if target is not None and target.deregistered_at is None:
            target.deregistered_at = now

    def look(self, views: dict[tuple[str, int], TargetView], now: float) -> None:
        """Take note of what Envoy thinks, and let drained targets go."""
        self._views = views
        for instance_id, target in list(self._targets.items()):
            if self._opinion(target) is Opinion.HEALTHY:
                target.was_healthy = True
            since = target.deregistered_at
            if since is not None and now - since > self._deregistration_delay_s:
                del self._targets[instance_id]

    def routed(self) -> list[tuple[str, int]]:
        """Addresses and ports of those registered."""
        return [
            (target.place.address, target.place.port)
            for target in self._targets.values()
            if target.deregistered_at is None
        ]

    def instance_ids(self) -> list[str]:
        """Of all targets, draining ones too."""
        return list(self._targets)

    def port_of(self, instance_id: str) -> int | None:
        """Where the target listens."""
        target = self._targets.get(instance_id)
        return None if target is None else target.place.port

    def of(self, instance_id: str, now: float) -> Health:
        """One target's health."""
        target = self._targets.get(instance_id)
        if target is None:
            return _NOT_REGISTERED
        if target.deregistered_at is not None:
            return _DRAINING
        opinion = self._opinion(target)
        is_new = not target.was_healthy and now - target.registered_at < self._first_checks_s
        if is_new and opinion in {Opinion.FAILED, Opinion.TIMED_OUT}:
            opinion = Opinion.CHECKING
        return _REGISTERING if opinion is None else _IN_WORDS[opinion]

    def is_unhealthy(self, instance_id: str) -> bool:
        """Whether Envoy has failed it."""
        target = self._targets.get(instance_id)
        return target is not None and self._opinion(target) in {Opinion.FAILED, Opinion.TIMED_OUT}

    def _opinion(self, target: _Target) -> Opinion | None:
        view = self._views.get((target.place.address, target.place.port))
        return None if view is None else view.opinion
