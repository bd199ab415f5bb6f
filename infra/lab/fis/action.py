"""What a fault is: a small class that registers itself under FIS's name for it.

docs/adding-a-fault.md shows how to write one.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from infra.lab.fis.servers_and_database import Lab
from infra.lab.fis.targets.resource_types import Candidate


class Action(Protocol):
    """One fault on the targets it was made with."""

    def inject(self) -> None:
        """Begin. Raises ActionFailed."""
        ...

    def is_done(self) -> bool:
        """Whether the action has run its course; one with a duration heals itself here.

        Raises ActionFailed. To begin is all of it, unless a class says otherwise.
        """
        return True

    def heal(self) -> None:
        """Undo what FIS undoes when an experiment is stopped. Raises ActionFailed.

        Nothing can be, unless a class says otherwise.
        """


# The action's own name for its targets -> the resources.
Targets = Mapping[str, Sequence[Candidate]]
Parameters = Mapping[str, str]
# Makes an action, without doing anything yet. Raises ActionFailed.
Factory = Callable[[Lab, Targets, Parameters], Action]
Made = TypeVar("Made", bound=Factory)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionKind:
    """An action, and what FIS asks of its callers.

    `targets` leads from the action's name for its targets to their resource type; `required` and
    `optional` are its parameters.
    """

    factory: Factory
    targets: Mapping[str, str] = field(default_factory=dict)
    required: Sequence[str] = ()
    optional: Sequence[str] = ()


REGISTRY: dict[str, ActionKind] = {}


def registers(
    action_id: str,
    *,
    targets: Mapping[str, str] | None = None,
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> Callable[[Made], Made]:
    """Class decorator: the class carries out this action. The rest is as of ActionKind."""

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


def ids_of(resources: Sequence[Candidate] | None) -> list[str]:
    """Their ids."""
    return [each.id for each in resources or ()]
