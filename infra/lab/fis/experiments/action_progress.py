"""The actions of one experiment: begun in their order, finished, and healed once if it ends early.

Each action's record is what GetExperiment shows of it; a state is written when it has come true.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from infra.lab.fis.action import Action
from infra.lab.fis.errors import ActionFailed
from infra.lab.fis.templates.action_order import ready

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

_REASON_LENGTH = 512  # AWS's
_OVER = frozenset({"completed", "skipped"})
_ENDED = _OVER | {"cancelled", "stopped", "failed"}
_BEGUN = _ENDED | {"running", "stopping"}


class ActionProgress:
    """`make` gives the action of that name, or None if it is to be skipped."""

    def __init__(
        self, records: Mapping[str, dict[str, Any]], *, make: Callable[[str], Action | None]
    ) -> None:
        self._records = records
        self._make = make
        self._order = {name: each.get("startAfter") or () for name, each in records.items()}
        self._acting: dict[str, Action] = {}

    @property
    def is_over(self) -> bool:
        """Whether nothing is to come any more."""
        return not self._acting and all(self._is(name, _ENDED) for name in self._records)

    def advance(self) -> None:
        """Finish what is done and begin what is due.

        Raises:
            ActionFailed: naming the action; the others are as they were, until `halt` and `heal`.

        """
        for name, action in list(self._acting.items()):
            if self._call(name, action.is_done):
                del self._acting[name]
                self._note(name, "completed", "Action was completed.")
        while due := ready(self._order, over=self._those(_OVER), begun=self._those(_BEGUN)):
            for name in due:
                self._begin(name)

    def skip_all(self) -> None:
        """Nothing is done: a rehearsal."""
        for name in self._records:
            self._note(name, "skipped", "Action was skipped because of actionsMode skip-all.")

    def halt(self) -> None:
        """What has not begun never will; what acts is to be healed."""
        for name in self._records:
            if self._is(name, {"pending"}):
                self._note(name, "cancelled", "Action was cancelled.")
            elif name in self._acting and not self._is(name, {"failed"}):
                self._note(name, "stopping", "Stopping action.")

    def heal(self) -> list[str]:
        """Undo what still acts, each action once. Returns what could not be undone, in words."""
        failures = []
        while self._acting:
            name, action = self._acting.popitem()
            try:
                self._call(name, action.heal)
            except ActionFailed as error:
                failures.append(str(error))
            else:
                if self._is(name, {"stopping"}):
                    self._note(name, "stopped", "Action was stopped.")
        return failures

    def _begin(self, name: str) -> None:
        action = self._call(name, lambda: self._make(name))
        if action is None:
            self._note(name, "skipped", "Action was skipped: its targets resolved to nothing.")
            return
        self._acting[name] = action  # whatever of it comes about, it will be healed
        self._records[name]["startTime"] = time.time()
        self._call(name, action.inject)
        self._note(name, "running", "Action is running.")

    def _call(self, name: str, what: Callable[[], Answer]) -> Answer:
        try:
            return what()
        except ActionFailed as error:
            reason = str(error)
        except Exception as error:  # whatever it is: the others have to be healed
            log.exception("the action %s fails by a fault of ours", name)
            reason = f"a fault of the lab's: {type(error).__name__}: {error}"
        self._note(name, "failed", reason)
        raise ActionFailed(f'Action "{name}" failed: {reason}')

    def _note(self, name: str, status: str, reason: str) -> None:
        record = self._records[name]
        record["state"] = {"status": status, "reason": reason[:_REASON_LENGTH]}
        if status in _ENDED and ("startTime" in record or status == "failed"):
            record["endTime"] = time.time()

    def _is(self, name: str, statuses: frozenset[str] | set[str]) -> bool:
        return self._records[name]["state"]["status"] in statuses

    def _those(self, statuses: frozenset[str]) -> list[str]:
        return [name for name in self._records if self._is(name, statuses)]
