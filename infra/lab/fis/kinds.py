"""What the control plane asks of an action that the lab carries out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from infra.lab.fis.action import Action
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
