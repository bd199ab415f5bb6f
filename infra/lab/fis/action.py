"""What a fault is: a small class that registers itself under FIS's name for it.

docs/adding-a-fault.md shows how to write one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar


class ActionFailed(Exception):
    """The fault cannot be brought about, or not be ended; the text says why."""


class Resource(Protocol):
    """One of the things that an action acts on."""

    @property
    def arn(self) -> str:
        """As AWS writes it."""
        ...

    @property
    def id(self) -> str:
        """Of an instance or a subnet; the identifier of a database or a cluster."""
        ...


class Neighbour(Protocol):
    """A program that was started beside a server."""

    def is_alive(self) -> bool:
        """Whether it runs."""
        ...

    def kill(self) -> None:
        """End it."""
        ...


class Servers(Protocol):
    """What actions may do to instances. Raises ActionFailed for one that is not the lab's."""

    def stop(self, instance_id: str) -> None:
        """As StopInstances."""
        ...

    def start(self, instance_id: str) -> None:
        """As StartInstances."""
        ...

    def terminate(self, instance_id: str) -> None:
        """As TerminateInstances."""
        ...

    def reboot(self, instance_id: str) -> None:
        """As RebootInstances."""
        ...

    def state_of(self, instance_id: str) -> str:
        """As DescribeInstances."""
        ...

    def in_subnet(self, subnet_id: str) -> Sequence[str]:
        """Ids of the servers in a subnet that are running."""
        ...

    def freeze(self, instance_id: str) -> None:
        """Cut it off from everybody, in whatever it is doing. Each needs a `thaw` of its own."""
        ...

    def thaw(self, instance_id: str) -> None:
        """End one `freeze`: it goes on with what it was doing."""
        ...

    def power_off(self, instance_id: str) -> None:
        """It is gone without a word, with its sockets open on the other side."""
        ...

    def power_on(self, instance_id: str) -> None:
        """It boots again."""
        ...

    def signal(self, instance_id: str, process_name: str, signal_number: int) -> int:
        """Signal the processes with this in their command line; returns how many there were."""
        ...

    def run_beside(self, instance_id: str, command: Sequence[str]) -> Neighbour:
        """Start a program on it. It ends with the lab at the latest."""
        ...


class Database(Protocol):
    """What actions may do to the database."""

    def fail_over(self, identifier: str) -> None:
        """The writer dies in the middle of everything, and comes back after a while."""
        ...

    def reboot(self, identifier: str) -> None:
        """The writer shuts down in good order, and comes back after a while."""
        ...

    def is_available(self) -> bool:
        """Whether it is there."""
        ...


class Lab(Protocol):
    """All that actions may act on."""

    @property
    def servers(self) -> Servers:
        """The instances."""
        ...

    @property
    def database(self) -> Database:
        """The one writer."""
        ...


class Action(Protocol):
    """One fault on the targets it was made with."""

    def inject(self) -> None:
        """Begin. Raises ActionFailed."""
        ...

    def is_done(self) -> bool:
        """Whether the action has run its course; one with a duration heals itself here.

        Raises ActionFailed.
        """
        ...

    def heal(self) -> None:
        """Undo what FIS undoes when an experiment is stopped. Raises ActionFailed."""
        ...


# The action's own name for its targets -> the resources.
Targets = Mapping[str, Sequence[Resource]]
Parameters = Mapping[str, str]


class Factory(Protocol):
    """An action's class."""

    def __call__(self, lab: Lab, targets: Targets, parameters: Parameters, /) -> Action:
        """Make one, without doing anything yet. Raises ActionFailed."""
        ...


Made = TypeVar("Made", bound=Factory)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionKind:
    """An action, and what FIS asks of its callers: names of targets and parameters."""

    factory: Factory
    targets: Mapping[str, str] = field(default_factory=dict)
    required: Sequence[str] = ()
    optional: Sequence[str] = ()

    def make(self, lab: Lab, targets: Targets, parameters: Parameters) -> Action:
        """Make one, without doing anything yet. Raises ActionFailed."""
        return self.factory(lab, targets, parameters)


REGISTRY: dict[str, ActionKind] = {}


def registers(
    action_id: str,
    *,
    targets: Mapping[str, str] | None = None,
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> Callable[[Made], Made]:
    """Class decorator: the class carries out this action.

    `targets` leads from the action's name for its targets to their resource type; `required` and
    `optional` are its parameters.
    """

    def register(factory: Made) -> Made:
        REGISTRY[action_id] = ActionKind(
            factory=factory, targets=targets or {}, required=required, optional=optional
        )
        return factory

    return register


def load_actions() -> Mapping[str, ActionKind]:
    """All that `infra.lab.fis.actions` has, by their ids: each module there registers its own."""
    package = importlib.import_module("infra.lab.fis.actions")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return REGISTRY


def ids_of(resources: Sequence[Resource] | None) -> list[str]:
    """Their ids."""
    return [each.id for each in resources or ()]
