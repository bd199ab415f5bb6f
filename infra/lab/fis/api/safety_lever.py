"""The safety lever: engaged, it ends all experiments and lets none begin."""

from typing import Any

from infra.lab.cloud.names import ACCOUNT, REGION
from infra.lab.fis.errors import Conflict, NotFound

ID = "default"
CANCELLED = "Experiment was cancelled because the safety lever is engaged."
STOPPED = "Experiment was stopped because the safety lever was engaged."


class SafetyLever:
    """Disengaged, engaging (experiments are being ended), or engaged (none is on)."""

    def __init__(self) -> None:
        self._status = "disengaged"
        self._reason = ""

    @property
    def is_pulled(self) -> bool:
        """Whether experiments may not begin."""
        return self._status != "disengaged"

    def update(self, lever_id: str, status: str, reason: str) -> bool:
        """As UpdateSafetyLeverState. Returns whether experiments have to end now.

        Raises:
            NotFound, Conflict: as FIS does.

        """
        self.describe(lever_id)
        if self._status == "engaging":
            raise Conflict("The safety lever is engaging and cannot be changed meanwhile.")
        if status == self._status:
            if reason == self._reason:
                return False
            raise Conflict(f"The safety lever is {status} already.")
        self._status = "engaging" if status == "engaged" else status
        self._reason = reason
        return self._status == "engaging"

    def settle(self, *, is_anything_on: bool) -> None:
        """Engaged it is only when the last experiment has ended."""
        if self._status == "engaging" and not is_anything_on:
            self._status = "engaged"

    def describe(self, lever_id: str) -> dict[str, Any]:
        """As GetSafetyLever.

        Raises:
            NotFound: an account has one, and its id is `default`.

        """
        if lever_id != ID:
            raise NotFound(f"Safety lever {lever_id} not found.")
        state = {"status": self._status, "reason": self._reason}
        arn = f"arn:aws:fis:{REGION}:{ACCOUNT}:safety-lever/{ID}"
        return {"id": ID, "arn": arn, "state": state}
