"""Which of FIS's actions the lab carries out, and what each is called with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from infra.lab.fis import stop_instances, wait  # noqa: F401  (they register themselves)
from infra.lab.fis.action import REGISTRY, Action, ActionFactory
from infra.lab.fis.resources import Candidate
from infra.lab.fis.template import Signature

# Targets with their types, and parameters that have to be there, of each that is registered.
_SIGNATURES: Mapping[str, tuple[Mapping[str, str], Sequence[str]]] = {
    "aws:ec2:stop-instances": ({"Instances": "aws:ec2:instance"}, ()),
    "aws:fis:wait": ({}, ("duration",)),
}


class Kind(Signature, Protocol):
    """One of FIS's actions, as the lab carries it out."""

    def make(
        self,
        lab: Any,
        targets: Mapping[str, Sequence[Candidate]],
        parameters: Mapping[str, str],
        /,
    ) -> Action:
        """Make the action, without doing anything yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Registered:
    factory: ActionFactory
    targets: Mapping[str, str]
    required: Sequence[str]
    optional: Sequence[str] = ()

    def make(
        self,
        lab: Any,
        targets: Mapping[str, Sequence[Candidate]],
        parameters: Mapping[str, str],
    ) -> Action:
        ids = {key: [each.id for each in chosen] for key, chosen in targets.items()}
        return self.factory(lab, ids, parameters)


def registered_kinds() -> dict[str, Kind]:
    """By action id, all that there are."""
    return {
        action_id: _Registered(factory=REGISTRY[action_id], targets=targets, required=required)
        for action_id, (targets, required) in _SIGNATURES.items()
    }
