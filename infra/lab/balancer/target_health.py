"""The target group's health in AWS's words: what Envoy routes by, and why.

Two things take a target out: failed health checks, and EC2's word that its instance no longer runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.lab.balancer.health_checks import Opinion, Target
from infra.lab.servers.machine import MachineState, Place


@dataclass(frozen=True, slots=True)
class Health:
    """State, reason and description as DescribeTargetHealth gives them."""

    state: str
    reason: str | None = None
    description: str | None = None


@dataclass(slots=True)
class _Target:
    place: Place
    unhealthy_since: float | None = None
    has_answered: bool = False
    deregistered_at: float | None = None


_HEALTHY = Health("healthy")
_REGISTERING = Health("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
_FIRST_CHECKS = Health("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
_DRAINING = Health(
    "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
)
_NOT_REGISTERED = Health(
    "unused", "Target.NotRegistered", "Target is not registered to the target group"
)
_IN_WORDS = {
    Opinion.CHECKING: _FIRST_CHECKS,
    Opinion.HEALTHY: _HEALTHY,
    Opinion.FAILED: Health("unhealthy", "Target.FailedHealthChecks", "Health checks failed"),
    Opinion.TIMED_OUT: Health("unhealthy", "Target.Timeout", "Request timed out"),
    Opinion.WRONG_STATUS: Health(
        "unhealthy",
        "Target.ResponseCodeMismatch",
        "Health checks failed with another code than 200",
    ),
}
_STOPPED = Health("unused", "Target.InvalidState", "Target is in the stopped state")
_TERMINATED = Health("unused", "Target.InvalidState", "Target is in the terminated state")
_NOT_RUNNING = {
    MachineState.STOPPING: _STOPPED,
    MachineState.STOPPED: _STOPPED,
    MachineState.SHUTTING_DOWN: _TERMINATED,
    MachineState.TERMINATED: _TERMINATED,
}


class TargetHealth:
    """Who is registered, and how each is."""

    def __init__(self, *, deregistration_delay_s: float) -> None:
        self._deregistration_delay_s = deregistration_delay_s
        self._targets: dict[str, _Target] = {}
        self._opinions: dict[Target, Opinion] = {}
        self._routed: dict[Target, bool] = {}
        self._not_running: dict[str, MachineState] = {}

    def register(self, place: Place) -> None:
        """Send requests to this machine once its checks allow it."""
        self._targets[place.instance_id] = _Target(place=place)

    def deregister(self, instance_id: str, now: float) -> None:
        """Send it no new requests; it is draining for a while."""
        target = self._targets.get(instance_id)
        if target is not None and target.deregistered_at is None:
            target.deregistered_at = now

    def note_not_running(self, states: Mapping[str, MachineState]) -> None:
        """Send no requests to these instances, whatever their checks say: EC2 does not run them.

        All others may have some. One that runs again is checked as a new target is.
        """
        self._not_running = dict(states)

    def look(
        self, *, opinions: dict[Target, Opinion], routed: dict[Target, bool] | None, now: float
    ) -> None:
        """Take note of what checks say and what Envoy routes by, and let drained targets go.

        `routed` is Envoy's own view, None where it was not asked.
        """
        self._opinions = opinions
        if routed is not None:
            self._routed = routed
        for instance_id, target in list(self._targets.items()):
            since = target.deregistered_at
            if since is not None and now - since > self._deregistration_delay_s:
                del self._targets[instance_id]
                continue
            opinion = opinions.get(target.place.where)
            target.has_answered |= opinion in {Opinion.HEALTHY, Opinion.WRONG_STATUS}
            is_unhealthy = self.of(instance_id).state == "unhealthy"
            target.unhealthy_since = (target.unhealthy_since or now) if is_unhealthy else None

    def registered(self) -> list[Target]:
        """Addresses and ports of those that are checked, and have requests if they are healthy."""
        return [
            each.place.where
            for name, each in self._targets.items()
            if each.deregistered_at is None and name not in self._not_running
        ]

    def instance_ids(self) -> list[str]:
        """Of all targets, draining ones too."""
        return list(self._targets)

    def port_of(self, instance_id: str) -> int | None:
        """Where the target listens."""
        target = self._targets.get(instance_id)
        return None if target is None else target.place.port

    def of(self, instance_id: str) -> Health:
        """One target's health."""
        target = self._targets.get(instance_id)
        if target is None:
            return _NOT_REGISTERED
        if target.deregistered_at is not None:
            return _DRAINING
        opinion = self._opinions.get(target.place.where)
        is_routed = self._routed.get(target.place.where)
        if instance_id in self._not_running:
            # Envoy is about to follow.
            return _HEALTHY if is_routed else _NOT_RUNNING[self._not_running[instance_id]]
        if opinion is None or is_routed is None:
            return _REGISTERING
        if is_routed != (opinion is Opinion.HEALTHY):  # Envoy is about to follow
            return _HEALTHY if is_routed else _FIRST_CHECKS
        return _IN_WORDS[opinion]

    def answered(self) -> set[str]:
        """Ids of those that have ever answered a check, however."""
        return {each for each, target in self._targets.items() if target.has_answered}

    def is_healthy(self, instance_id: str) -> bool:
        """Whether it passes its checks, and Envoy knows."""
        return self.of(instance_id).state == "healthy"

    def unhealthy_for_s(self, instance_id: str, now: float) -> float:
        """How long it has been unhealthy; 0 if it is not."""
        target = self._targets.get(instance_id)
        since = None if target is None else target.unhealthy_since
        return 0.0 if since is None else now - since

    def set_deregistration_delay(self, seconds: float) -> None:
        """How long a deregistered target drains, of those that drain already too."""
        self._deregistration_delay_s = seconds
