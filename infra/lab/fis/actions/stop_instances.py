"""`aws:ec2:stop-instances`: servers leave in good order, then are off."""

import time

from infra.lab.fis.action import Parameters, Targets, ids_of, registers
from infra.lab.fis.duration import seconds_of
from infra.lab.fis.errors import ActionFailed
from infra.lab.fis.servers_and_database import Lab

_GONE = frozenset({"shutting-down", "terminated"})
_OFF = _GONE | {"stopped"}


@registers(
    "aws:ec2:stop-instances",
    targets={"Instances": "aws:ec2:instance"},
    optional=("startInstancesAfterDuration", "completeIfInstancesTerminated"),
)
class StopInstances:
    """Done when every target is off or, with a duration, when that is over and they run again.

    One that is terminated meanwhile (by its Auto Scaling group, say) cannot be started: the
    action then fails, unless `completeIfInstancesTerminated` is `true`.
    """

    def __init__(self, lab: Lab, targets: Targets, parameters: Parameters) -> None:
        self._servers = lab.servers
        self._instance_ids = ids_of(targets.get("Instances"))
        duration = parameters.get("startInstancesAfterDuration")
        self._duration_s = None if duration is None else seconds_of(duration)
        self._may_be_gone = parameters.get("completeIfInstancesTerminated") == "true"
        self._start_at = float("inf")

    def inject(self) -> None:
        """Stop each."""
        for instance_id in self._instance_ids:
            self._servers.stop(instance_id)
        if self._duration_s is not None:
            self._start_at = time.monotonic() + self._duration_s

    def is_done(self) -> bool:
        """Whether all are off; with a duration, whether all have been started again."""
        states = {each: self._servers.state_of(each) for each in self._instance_ids}
        if self._duration_s is None:
            return set(states.values()) <= _OFF
        if time.monotonic() < self._start_at:
            return False
        gone = [each for each, state in states.items() if state in _GONE]
        if gone and not self._may_be_gone:
            raise ActionFailed(f"{', '.join(gone)} cannot be started again: terminated meanwhile")
        self._start(states)
        return all(state == "running" for each, state in states.items() if each not in gone)

    def heal(self) -> None:
        """Start what is to be started later; without a duration FIS leaves them stopped."""
        if self._duration_s is not None:
            self._start({each: self._servers.state_of(each) for each in self._instance_ids})

    def _start(self, states: dict[str, str]) -> None:
        for instance_id, state in states.items():
            if state in {"stopped", "stopping"}:
                self._servers.start(instance_id)
