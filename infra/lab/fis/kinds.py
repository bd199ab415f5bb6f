"""Which of FIS's actions the lab carries out, as FIS itself sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from infra.lab.fis.action import Action, load_actions
from infra.lab.fis.resources import Candidate
from infra.lab.fis.template import Signature


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


def registered_kinds() -> Mapping[str, Kind]:
    """By action id, all that there are."""
    return load_actions()
