"""What a fault is: a small class that registers itself under FIS's name for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class ActionFailed(Exception):
    """The fault cannot be brought about, or not be ended; the text says why."""


class Servers(Protocol):
    """What actions may do to instances."""

    def stop(self, instance_id: str) -> None:
        """As StopInstances."""
        ...

    def start(self, instance_id: str) -> None:
        """As StartInstances."""
        ...

    def state_of(self, instance_id: str) -> str:
        """As DescribeInstances."""
        ...


class Action(Protocol):
    """One fault on the targets it was made with."""

    def inject(self) -> None:
        """Begin."""
        ...

    def is_done(self) -> bool:
        """Whether the action has run its course."""
        ...

    def heal(self) -> None:
        """Undo what FIS undoes when an experiment is stopped."""
        ...


# (servers, instance ids by the action's own name for its targets, parameters) -> action
ActionFactory = Callable[[Servers, Mapping[str, Sequence[str]], Mapping[str, str]], Action]
REGISTRY: dict[str, ActionFactory] = {}


def registers(action_id: str) -> Callable[[type], type]:
    """Class decorator: the class carries out this FIS action."""

    def register(kind: type) -> type:
        REGISTRY[action_id] = kind
        return kind

    return register
