"""One experiment: moto's record of it, with states that follow what really happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.fis.models import Experiment, ResolvedTarget

from infra.lab.fis import stop_instances  # noqa: F401  (registers itself)
from infra.lab.fis.action import REGISTRY, Action, Servers
from infra.lab.fis.targets import Candidate, TargetResolutionFailed, resolve

FINAL = frozenset({"completed", "stopped", "failed", "cancelled"})
_EMPTY = "Target resolution returned empty set"
_KIND = "aws:ec2:instance"


class LiveExperiment(Experiment):
    """Pending, initiating (targets are resolved), running (actions act), and an end."""

    def __init__(
        self,
        *,
        servers: Servers,
        candidates: Callable[[], Iterable[Candidate]],
        initiating_s: float,
        **record: Any,
    ) -> None:
        # moto's own constructor reads the state.
        self._state = "pending"
        self._reason = "Experiment is pending"
        super().__init__(**record)
        self._servers = servers
        self._candidates = candidates
        self._initiating_s = initiating_s
        self._began = time.monotonic()
        self._running: dict[str, Action] = {}
        self._resolved: dict[str, list[Candidate]] = {}

    # moto moves a state at each read; ours moves with the lab's clock.

    @property
    def status(self) -> str:
        """As AWS names it."""
        return self._state

    @status.setter
    def status(self, wanted: str) -> None:
        # moto's StopExperiment sets this.
        if wanted == "stopping":
            self.stop()

    def advance(self) -> None:
        """Reading changes nothing."""

    def _sync_state(self) -> str:
        return self._state

    def to_dict(self, tags: dict[str, str] | None = None) -> dict[str, Any]:
        """As GetExperiment, with the reason of the state it is in."""
        record = super().to_dict(tags)
        record["state"] = {"status": self._state, "reason": self._reason}
        return record

    def to_summary_dict(self, tags: dict[str, str] | None = None) -> dict[str, Any]:
        """As ListExperiments."""
        record = super().to_summary_dict(tags)
        record["state"] = {"status": self._state, "reason": self._reason}
        return record

    def resolved_targets(self) -> list[ResolvedTarget]:
        """As ListExperimentResolvedTargets."""
        return [
            ResolvedTarget(resource_type=_KIND, target_name=name, resource_arn=each.arn)
            for name, chosen in self._resolved.items()
            for each in chosen
        ]

    # Its life.

    def tick(self) -> None:
        """Go on where something has become due or done."""
        elapsed = time.monotonic() - self._began
        if self._state == "pending" and elapsed > self._initiating_s / 2:
            self._enter("initiating", "Experiment is initiating")
        elif self._state == "initiating" and elapsed > self._initiating_s:
            self._begin_actions()
        elif self._state == "running":
            self._finish_actions()
        elif self._state == "stopping":
            self._enter("stopped", "Experiment stopped by user")

    def stop(self) -> None:
        """As StopExperiment: actions heal what they can."""
        if self._state in FINAL or self._state == "stopping":
            return
        for name, action in self._running.items():
            action.heal()
            self._set_action(name, "stopped", "Action was stopped")
        self._running.clear()
        for name, description in self.actions.items():
            if description["state"]["status"] == "pending":
                self._set_action(name, "cancelled", "Action was cancelled")
        self._enter("stopping", "Experiment is stopping")

    def _begin_actions(self) -> None:
        try:
            self._resolve_targets()
        except TargetResolutionFailed as error:
            self._fail(str(error))
            return
        if self.experiment_options.get("actionsMode") == "skip-all":
            for name in self.actions:
                self._set_action(
                    name, "skipped", "Experiment was started with actionsMode skip-all"
                )
            self._enter("completed", "Experiment completed")
            return
        unknown = [a["actionId"] for a in self.actions.values() if a["actionId"] not in REGISTRY]
        if unknown:
            self._fail(f"The lab cannot carry out {', '.join(unknown)}")
            return
        self._enter("running", "Experiment is running")
        for name, description in self.actions.items():
            targets = {
                own: [each.instance_id for each in self._resolved.get(theirs, [])]
                for own, theirs in (description.get("targets") or {}).items()
            }
            action = REGISTRY[description["actionId"]](
                self._servers, targets, description.get("parameters") or {}
            )
            self._running[name] = action
            self._set_action(name, "running", "Action is running")
            action.inject()

    def _resolve_targets(self) -> None:
        candidates = list(self._candidates())
        for name, target in self.targets.items():
            if target.get("resourceType") != _KIND:
                raise TargetResolutionFailed(
                    f"The lab has no resources of type {target.get('resourceType')}"
                )
            self._resolved[name] = resolve(target, candidates)
        may_be_empty = self.experiment_options.get("emptyTargetResolutionMode") == "skip"
        if not may_be_empty and not all(self._resolved.values()):
            raise TargetResolutionFailed(_EMPTY)

    def _finish_actions(self) -> None:
        for name, action in list(self._running.items()):
            if action.is_done():
                del self._running[name]
                self._set_action(name, "completed", "Action was completed")
        if not self._running:
            self._enter("completed", "Experiment completed")

    def _fail(self, reason: str) -> None:
        for name in self.actions:
            self._set_action(name, "cancelled", "Experiment failed")
        self._enter("failed", reason)

    def _set_action(self, name: str, status: str, reason: str) -> None:
        action = self.actions[name]
        action["state"] = {"status": status, "reason": reason}
        if status == "running":
            action["startTime"] = time.time()
        else:
            action["endTime"] = time.time()

    def _enter(self, state: str, reason: str) -> None:
        self._state = state
        self._reason = reason
        if state == "running":
            self.start_time = time.time()
        if state in FINAL:
            self.end_time = time.time()
