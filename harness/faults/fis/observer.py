"""Notes every change of target health, instances and scaling activities into the run's events."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import gevent

from harness.faults.fis.targets import AWS_ERRORS, Fleet, reason_of
from harness.record.journal import Journal

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import ActivityTypeDef

_OVER = frozenset({"Successful", "Failed", "Cancelled"})


@dataclass(slots=True)
class _Seen:
    """What was last seen, by the thing it was seen of."""

    targets: dict[str, tuple[str, str]] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)
    activities: dict[str, str] = field(default_factory=dict)


class Observer:
    """Watches one fleet for one run, in a greenlet of its own."""

    def __init__(self, fleet: Fleet, journal: Journal, *, every_s: float) -> None:
        self._fleet = fleet
        self._journal = journal
        self._every_s = every_s
        self._seen = _Seen()
        self._is_first = True
        self._is_failing = False
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def start(self) -> None:
        """Note the state of everything, then go on in the background."""
        self.look()
        self._greenlet = gevent.spawn(self._watch)

    def close(self) -> None:
        """Look once more and stop."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None
            self.look()

    @property
    def healthy_count(self) -> int | None:
        """How many targets were healthy when last seen; None while nothing can be seen."""
        if self._is_first or self._is_failing:
            return None
        return sum(state == "healthy" for state, _ in self._seen.targets.values())

    def look(self) -> None:
        """Note what has changed. AWS's failures are noted too: once each time they begin."""
        try:
            self._look_at_targets()
            self._look_at_instances()
            self._look_at_activities()
        except AWS_ERRORS as error:
            if not self._is_failing:
                self._journal.note_run("observe_failed", reason_of(error))
            self._is_failing = True
        else:
            if self._is_failing:
                self._journal.note_run("observe_recovered")
            self._is_failing = self._is_first = False

    def _watch(self) -> None:
        try:
            while True:
                gevent.sleep(self._every_s)
                self.look()
        except Exception as error:  # noqa: BLE001 -- the end of a greenlet: nobody else would hear
            self._journal.on_our_fault(error)

    def _look_at_targets(self) -> None:
        found = {target.id: (target.state, target.reason) for target in self._fleet.targets()}
        for instance, (state, reason) in found.items():
            if self._seen.targets.get(instance) != (state, reason):
                self._journal.note("elb", instance, state, reason)
        for instance in self._seen.targets.keys() - found.keys():
            self._journal.note("elb", instance, "deregistered")
        self._seen.targets = found

    def _look_at_instances(self) -> None:
        known = self._seen.targets.keys() | self._seen.instances.keys()
        for instance in self._fleet.instances(known | set(self._fleet.members())):
            name, state = instance["InstanceId"], str(instance["State"]["Name"])
            if self._seen.instances.get(name) != state:
                self._seen.instances[name] = state
                zone = instance.get("Placement", {}).get("AvailabilityZone", "")
                self._journal.note("ec2", name, state, zone)

    def _look_at_activities(self) -> None:
        for activity in self._fleet.activities():
            name, status = activity["ActivityId"], str(activity["StatusCode"])
            if self._seen.activities.get(name) == status:
                continue
            self._seen.activities[name] = status
            if not (self._is_first and status in _OVER):  # what was over before is no news
                self._journal.note("asg", name, status, _story(activity))


def _story(activity: "ActivityTypeDef") -> str:
    return " ".join(
        text for text in (activity.get("Description"), activity.get("StatusMessage")) if text
    )
