"""FIS by itself for tests: a real control plane, a clock that stands, and actions that record."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from moto.fis.exceptions import FISException

from infra.lab.fis.action import ActionKind
from infra.lab.fis.api.control_plane import ControlPlane
from infra.lab.fis.errors import ActionFailed
from infra.lab.fis.experiments.experiment import Surroundings
from infra.lab.fis.targets.resource_types import RESOURCE_TYPES, Candidate, ResourceType

INITIATING_S = 2.0
NAMES = list("abcdef")


class RecordedAction:
    """Ends, or fails, when the test says so."""

    def __init__(self, name: str, hits: list[str], account: "Account") -> None:
        self.name = name
        self.hits = hits
        self._account = account

    def inject(self) -> None:
        self._note("inject")

    def is_done(self) -> bool:
        self._fail_if_told("is_done")
        return self.name in self._account.done

    def heal(self) -> None:
        self._note("heal")

    def _note(self, verb: str) -> None:
        self._account.calls.append(f"{verb} {self.name}")
        self._fail_if_told(verb)

    def _fail_if_told(self, verb: str) -> None:
        reason = self._account.failing.get(f"{verb} {self.name}")
        if reason == "bug":
            raise KeyError("a fault of ours")
        if reason:
            raise ActionFailed(reason)


def recorded_action(
    lab: Any, targets: Mapping[str, Sequence[Any]], parameters: Mapping[str, str]
) -> RecordedAction:
    hits = [each.id for chosen in targets.values() for each in chosen]
    action = RecordedAction(parameters["as"], hits, lab)
    lab.made.append(action)
    return action


def recorded_kind(**targets: str) -> ActionKind:
    """`as` names the action."""
    return ActionKind(
        factory=recorded_action, targets=targets, required=("as",), optional=("duration",)
    )


class Account:
    """What the test sets and sees; `fis` is the control plane under test."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.instances: list[Candidate] = []
        self.alarms: dict[str, str] = {}
        self.done: set[str] = set()
        self.failing: dict[str, str] = {}
        self.calls: list[str] = []
        self.made: list[RecordedAction] = []
        like = RESOURCE_TYPES["aws:ec2:instance"]
        instances = ResourceType(
            id=like.id,
            description=like.description,
            arn_prefix=like.arn_prefix,
            candidates=lambda: self.instances,
        )
        self.fis = ControlPlane(
            Surroundings(
                lab=self,
                kinds={
                    "test:act": recorded_kind(),
                    "aws:ec2:stop-instances": recorded_kind(Instances="aws:ec2:instance"),
                },
                resource_types={like.id: instances},
                alarm_states=self.alarms.get,
                initiating_s=INITIATING_S,
                now=lambda: self.now_s,
            )
        )

    def launch(self, *names: str, **tags: str) -> None:
        """Instances with these ids, tagged Mine=yes unless other tags are given."""
        self.instances += [
            Candidate(
                id=name,
                arn=f"arn:aws:ec2:us-east-1:123456789012:instance/{name}",
                tags=tags or {"Mine": "yes"},
                description={"State": {"Name": "running"}},
            )
            for name in names
        ]

    def create(self, token: str | None = None, **changes: Any) -> str:
        """A template; `changes` to one action that has no targets. Returns its id."""
        request = {
            "description": "of a test",
            "role_arn": "arn:aws:iam::123456789012:role/fis",
            "stop_conditions": [{"source": "none"}],
            "targets": {},
            "actions": {"a": act("a")},
            "tags": {},
        }
        return str(self.fis.create_experiment_template(token, **(request | changes))["id"])

    def start(self, template: str, token: str | None = None, **options: Any) -> str:
        """An experiment, pending. Returns its id."""
        return str(self.fis.start_experiment(token, template, **options)["id"])

    def running(self, **changes: Any) -> str:
        """An experiment whose first actions have begun, or that has ended instead."""
        experiment = self.start(self.create(**changes))
        self.tick()
        self.tick()
        return experiment

    def tick(self, seconds: float = INITIATING_S) -> None:
        """Let time pass, and FIS go on."""
        self.now_s += seconds
        self.fis.tick()

    def state(self, experiment: str) -> tuple[str, str]:
        """Its status and the reason."""
        state = self.fis.get_experiment(experiment)["state"]
        return state["status"], state["reason"]

    def actions(self, experiment: str) -> dict[str, str]:
        """Each action's status."""
        actions = self.fis.get_experiment(experiment)["actions"]
        return {name: each["state"]["status"] for name, each in actions.items()}


def act(name: str, *after: str) -> dict[str, Any]:
    """An action without targets that calls itself this."""
    return {"actionId": "test:act", "parameters": {"as": name}, "startAfter": list(after)}


def stop(name: str, target: str, *after: str) -> dict[str, Any]:
    """An action on instances."""
    return act(name, *after) | {
        "actionId": "aws:ec2:stop-instances",
        "targets": {"Instances": target},
    }


def tagged(**changes: Any) -> dict[str, Any]:
    """A target of all instances of one's own."""
    return {
        "resourceType": "aws:ec2:instance",
        "resourceTags": {"Mine": "yes"},
        "selectionMode": "ALL",
    } | changes


def said(pattern: str) -> Callable[[FISException], bool]:
    """Whether an error's message has this in it; for `pytest.raises(check=...)`."""
    return lambda error: re.search(pattern, str(error.message)) is not None


@st.composite
def orders(draw: st.DrawFn, *, with_circles: bool) -> dict[str, list[str]]:
    """Any actions with any startAfter; without circles each starts after earlier ones only."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    return {
        name: draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
        if with_circles
        else [each for each in names[:number] if draw(st.booleans())]
        for number, name in enumerate(names)
    }
