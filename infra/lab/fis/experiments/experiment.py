"""One experiment: moto's record of it, with states that follow what really happens."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.fis.models import Experiment, ResolvedTarget

from infra.lab.cloud.names import ACCOUNT
from infra.lab.fis import quotas
from infra.lab.fis.action import Action, ActionKind
from infra.lab.fis.errors import ActionFailed
from infra.lab.fis.experiments import stop_conditions as alarms
from infra.lab.fis.experiments.action_progress import ActionProgress
from infra.lab.fis.targets.resolution import EMPTY, resolve
from infra.lab.fis.targets.resource_types import Candidate, ResourceType

log = logging.getLogger(__name__)

FINAL = frozenset({"completed", "stopped", "failed", "cancelled"})
STOPPED_BY_USER = "Experiment stopped by user."
_REASON_LENGTH = 512  # AWS's


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an experiment acts on and listens to. `now` counts seconds from somewhere."""

    lab: Any
    kinds: Mapping[str, ActionKind]
    resource_types: Mapping[str, ResourceType]
    alarm_states: alarms.AlarmStates
    initiating_s: float
    now: Callable[[], float] = time.monotonic


class TargetResolutionFailed(Exception):
    """The experiment fails with this reason; `target` is the one that led to it."""

    def __init__(self, reason: str, *, target: str) -> None:
        super().__init__(reason)
        self.target = target


class LiveExperiment(Experiment):
    """Pending, initiating (targets are resolved), running (actions act), and an end."""

    def __init__(self, *, surroundings: Surroundings, **record: Any) -> None:
        # moto's own constructor reads the state.
        self._state: dict[str, Any] = {"status": "pending", "reason": "Experiment is pending."}
        super().__init__(**record)
        self._surroundings = surroundings
        self._began = surroundings.now()
        self._resolved: dict[str, list[Candidate]] = {}
        self._progress = ActionProgress(self.actions, make=self._make_action)
        self._stopped_for = STOPPED_BY_USER

    # moto moves a state at each read; ours moves with the lab's clock.

    @property
    def status(self) -> str:
        """As AWS names it."""
        return str(self._state["status"])

    @status.setter
    def status(self, wanted: str) -> None:
        # moto's StopExperiment sets this.
        if wanted == "stopping":
            self.stop()

    def advance(self) -> None:
        """Reading changes nothing."""

    def _sync_state(self) -> str:
        return self.status

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL

    def to_dict(self, tags: dict[str, str] | None = None) -> dict[str, Any]:
        """As GetExperiment, with the reason of the state it is in."""
        return super().to_dict(tags) | {"state": dict(self._state)}

    def to_summary_dict(self, tags: dict[str, str] | None = None) -> dict[str, Any]:
        """As ListExperiments."""
        return super().to_summary_dict(tags) | {"state": dict(self._state)}

    def resolved_targets(self) -> list[ResolvedTarget]:
        """As ListExperimentResolvedTargets."""
        return [
            ResolvedTarget(
                resource_type=self.targets[name]["resourceType"],
                target_name=name,
                resource_arn=each.arn,
            )
            for name, chosen in self._resolved.items()
            for each in chosen
        ]

    # Its life.

    def tick(self) -> None:
        """Go on where something has become due or done."""
        elapsed_s = self._surroundings.now() - self._began
        if self.status == "pending" and elapsed_s > self._surroundings.initiating_s / 2:
            self._enter("initiating", "Experiment is initiating.")
        elif self.status == "initiating" and elapsed_s > self._surroundings.initiating_s:
            self._begin()
        elif self.status == "running":
            self._go_on(elapsed_s)
        elif self.status == "stopping":
            self._finish_stopping()

    def stop(self, reason: str = STOPPED_BY_USER) -> None:
        """Nothing begins any more; what acts is healed with the next turn, and then it is over."""
        if self.is_final or self.status == "stopping":
            return
        self._stopped_for = reason
        self._progress.halt()
        self._enter("stopping", "Stopping Experiment.")

    def cancel(self, reason: str) -> None:
        """End it before any action has begun; one that is running is stopped instead."""
        if self.status in {"pending", "initiating"}:
            self._progress.halt()
            self._enter("cancelled", reason)
        else:
            self.stop(reason)

    def _begin(self) -> None:
        try:
            self._resolve_targets()
            self._check_counts()
        except TargetResolutionFailed as error:
            self._fail(str(error), code="InvalidTarget", location=error.target)
            return
        except Exception as error:  # a resource we did not think of must not end the lab
            log.exception("the targets of %s cannot be resolved by a fault of ours", self.id)
            reason = f"a fault of the lab's: {type(error).__name__}: {error}"
            self._fail(reason, code="InternalError")
            return
        missing = alarms.missing_alarms(self.stop_conditions, self._surroundings.alarm_states)
        if missing:
            self._fail(f"Stop condition {missing[0]} does not exist.", code="InvalidStopCondition")
        elif self._should_halt():
            self.stop(alarms.HALTED)
        elif self.experiment_options.get("actionsMode") == "skip-all":
            self._progress.skip_all()
            self._enter("completed", "Experiment completed.")
        else:
            self._enter("running", "Experiment is running.")
            self._advance_actions()

    def _go_on(self, elapsed_s: float) -> None:
        if self._should_halt():
            self.stop(alarms.HALTED)
        elif elapsed_s > quotas.EXPERIMENT_DURATION_S:
            self.stop("Experiment exceeded the maximum duration of 12 hours.")
        else:
            self._advance_actions()

    def _advance_actions(self) -> None:
        try:
            self._progress.advance()
        except ActionFailed as error:
            self._fail(str(error), code="ActionFailed")
            return
        if self._progress.is_over:
            self._enter("completed", "Experiment completed.")

    def _finish_stopping(self) -> None:
        failures = self._progress.heal()
        if failures:
            self._enter_failed("; ".join(failures), code="ActionFailed")
        else:
            self._enter("stopped", self._stopped_for)

    def _should_halt(self) -> bool:
        return alarms.should_halt(self.stop_conditions, self._surroundings.alarm_states)

    def _fail(self, reason: str, *, code: str, location: str = "") -> None:
        self._progress.halt()
        failures = self._progress.heal()
        self._enter_failed("; ".join([reason, *failures]), code=code, location=location)

    def _enter_failed(self, reason: str, *, code: str, location: str = "") -> None:
        self._enter("failed", reason)
        error = {"accountId": ACCOUNT, "code": code, "location": location}
        self._state["error"] = {key: value for key, value in error.items() if value}

    def _enter(self, status: str, reason: str) -> None:
        self._state = {"status": status, "reason": reason[:_REASON_LENGTH]}
        if status in FINAL:
            self.end_time = time.time()

    # Targets.

    def _resolve_targets(self) -> None:
        may_be_empty = self.experiment_options.get("emptyTargetResolutionMode") == "skip"
        for name, target in self.targets.items():
            kind = self._surroundings.resource_types[target["resourceType"]]
            self._resolved[name] = resolve(target, kind)
            found = {each.arn for each in self._resolved[name]}
            named = set(target.get("resourceArns") or ())
            # With COUNT and PERCENT not all that are named have to be chosen.
            is_missing = named and not named <= {each.arn for each in kind.candidates()}
            if is_missing or (not found and not may_be_empty):
                raise TargetResolutionFailed(EMPTY, target=name)

    def _check_counts(self) -> None:
        for name, action in self.actions.items():
            most = quotas.RESOURCES_PER_ACTION.get(action["actionId"])
            for target in (action.get("targets") or {}).values():
                count = len(self._resolved[target])
                if most is not None and count > most:
                    raise TargetResolutionFailed(
                        f'Target "{target}" resolved to {count} resources; the quota of '
                        f'{action["actionId"]} (action "{name}") is {most}.',
                        target=target,
                    )

    def _make_action(self, name: str) -> Action | None:
        action = self.actions[name]
        targets = {
            own: self._resolved[theirs] for own, theirs in (action.get("targets") or {}).items()
        }
        if targets and not any(targets.values()):
            return None
        kind = self._surroundings.kinds[action["actionId"]]
        return kind.factory(self._surroundings.lab, targets, action.get("parameters") or {})
