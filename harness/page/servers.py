"""What stands behind the load balancer now, as told by the events of a run. Pure.

Every event is also kept, the newest few hundred of them, for those who want to see what happened.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from analysis.evidence.records import Event, format_time

_KEPT = 400
_TROUBLES = frozenset(
    {"fis_refused", "fis_not_stopped", "fault_not_injected", "run_aborted", "observe_failed"}
)


@dataclass(slots=True, kw_only=True)
class _Server:
    """One instance: its health as a target, and what EC2 says of it. Empty where unknown."""

    health: str = ""
    reason: str = ""
    state: str = ""
    zone: str = ""
    since: int = 0


@dataclass(slots=True, kw_only=True)
class _Activity:
    """One activity of an Auto Scaling group."""

    status: str
    story: str
    at: int


@dataclass(slots=True)
class Scene:
    """The servers, the scaling activities, the experiment and the newest events of one run."""

    servers: dict[str, _Server] = field(default_factory=dict)
    activities: dict[str, _Activity] = field(default_factory=dict)
    experiment: dict[str, Any] = field(
        default_factory=lambda: {"id": "", "state": "", "reason": "", "victims": []}
    )
    blast: str = ""
    trouble: str = ""
    _events: deque[tuple[int, Event]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _count: int = 0

    def hear(self, event: Event) -> None:
        """Take an event of the run, in the order in which they come."""
        self._count += 1
        self._events.append((self._count, event))
        match event.source:
            case "elb":
                self._see_target(event)
            case "ec2":
                server = self.servers.setdefault(event.subject, _Server())
                server.state, server.zone = event.event, event.detail
            case "asg":
                self.activities[event.subject] = _Activity(
                    status=event.event, story=event.detail, at=event.at
                )
            case "fis":
                self._see_experiment(event)
            case _:
                self._hear_of_run(event)

    def events(self, *, after: int) -> list[dict[str, Any]]:
        """Return the events after the one with this number; 0 for all that are kept."""
        return [_as_dict(number, event) for number, event in self._events if number > after]

    def as_dict(self) -> dict[str, Any]:
        """Return the scene as it stands, the newest activity first."""
        return {
            "servers": [
                {
                    "id": name,
                    "health": each.health,
                    "reason": each.reason,
                    "state": each.state,
                    "zone": each.zone,
                    "since": each.since,
                    "is_victim": name in self.experiment["victims"],
                }
                for name, each in sorted(self.servers.items())
            ],
            "activities": [
                {"id": name, "status": each.status, "story": each.story, "at": each.at}
                for name, each in sorted(
                    self.activities.items(), key=lambda item: item[1].at, reverse=True
                )
            ][:10],
            "experiment": self.experiment,
            "blast": self.blast,
            "trouble": self.trouble,
        }

    def _see_target(self, event: Event) -> None:
        server = self.servers.setdefault(event.subject, _Server())
        server.health, server.reason, server.since = event.event, event.detail, event.at

    def _see_experiment(self, event: Event) -> None:
        found = self.experiment
        if event.event == "target_resolved":
            self.experiment = {**found, "victims": [*found["victims"], event.detail]}
        elif event.event.endswith("_failed"):
            self.trouble = f"{event.event.replace('_', ' ')}: {event.detail}"
        else:
            self.experiment = {
                **found,
                "id": event.subject,
                "state": event.event,
                "reason": event.detail,
            }

    def _hear_of_run(self, event: Event) -> None:
        if event.event == "blast_radius":
            self.blast = event.detail
        elif event.event in _TROUBLES:
            self.trouble = f"{event.event.replace('_', ' ')}: {event.detail}"
        elif event.event == "observe_recovered":
            self.trouble = ""


def _as_dict(number: int, event: Event) -> dict[str, Any]:
    return {
        "number": number,
        "at": event.at,
        "time": format_time(event.at),
        "source": event.source,
        "subject": event.subject,
        "event": event.event,
        "detail": event.detail,
    }
