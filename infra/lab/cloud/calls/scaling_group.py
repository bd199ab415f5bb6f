"""The Auto Scaling group's calls: health, suspended processes, standby, its activities."""

from collections.abc import Callable, Iterator
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError
from moto.autoscaling.models import (
    AutoScalingBackend,
    EnterStandbyActivity,
    ExitStandbyActivity,
    FakeAutoScalingGroup,
    InstanceState,
)
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from infra.lab.cloud.calls.replacement import Replacement, method
from infra.lab.cloud.names import GROUP
from infra.lab.servers.auto_scaling_group import AutoScalingGroup

# What can be suspended; the lab's group does the first five by itself, and none of the others.
_PROCESSES = frozenset(
    {
        *("Launch", "Terminate", "AddToLoadBalancer", "HealthCheck", "ReplaceUnhealthy"),
        *("AZRebalance", "AlarmNotification", "InstanceRefresh", "ScheduledActions"),
    }
)
_PAGE = 100  # the most activities in one answer, as of AWS
_attach = AutoScalingBackend.attach_instances
_enter_standby = AutoScalingBackend.enter_standby_instances
_exit_standby = AutoScalingBackend.exit_standby_instances


class ScalingGroupCalls:
    """What a user may say to the group, and ask it."""

    def __init__(self, group: AutoScalingGroup) -> None:
        self._group = group

    def replacements(self) -> Iterator[Replacement]:
        """Of moto's methods."""
        # The group's size is the group's business, not moto's.
        yield Replacement(FakeAutoScalingGroup, "set_desired_capacity", _note_desired_capacity)
        for name in ("notify_terminate_instances", "update_attached_target_groups"):
            yield Replacement(AutoScalingBackend, name, lambda *_: None)
        for owner, ours in (
            (AutoScalingResponse, self.describe_scaling_activities),
            (AutoScalingResponse, self.set_instance_health),
            (AutoScalingBackend, self.attach_instances),
            (AutoScalingBackend, self.enter_standby_instances),
            (AutoScalingBackend, self.exit_standby_instances),
        ):
            yield Replacement(owner, ours.__name__, method(ours))
        for name in ("suspend_processes", "resume_processes"):
            yield Replacement(AutoScalingBackend, name, _of_known_processes(name))

    def describe_scaling_activities(self, response: AutoScalingResponse) -> ActionResult:
        """As DescribeScalingActivities."""
        group, ids, most, start = (
            response._get_param(name)  # noqa: SLF001
            for name in ("AutoScalingGroupName", "ActivityIds", "MaxRecords", "NextToken")
        )
        activities = [
            each
            for each in self._group.activities
            if group in {None, GROUP} and (not ids or each.activity_id in ids)
        ]
        # A token is the id of the page's first: newer ones may come before it meanwhile.
        known = [each.activity_id for each in activities]
        first = known.index(start) if start in known else 0
        last = first + min(int(most or _PAGE), _PAGE)
        page: dict[str, Any] = {"Activities": activities[first:last]}
        if last < len(activities):
            page["NextToken"] = known[last]
        return ActionResult(page)

    def set_instance_health(self, response: AutoScalingResponse) -> ActionResult:
        """As SetInstanceHealth: the group replaces whom a user calls unhealthy."""
        instance_id, status = (
            str(response._get_param(name))  # noqa: SLF001
            for name in ("InstanceId", "HealthStatus")
        )
        if status not in {"Healthy", "Unhealthy"}:
            raise _invalid("Valid instance health states are: [Healthy, Unhealthy].")
        if not self._group.set_health(
            instance_id,
            is_healthy=status == "Healthy",
            respects_grace=response._get_bool_param("ShouldRespectGracePeriod", True),  # noqa: SLF001
        ):
            raise _invalid(f"No managed instance found for instance ID {instance_id}.")
        return EmptyResult()

    def attach_instances(
        self, scaling: AutoScalingBackend, group_name: str, instance_ids: list[str]
    ) -> None:
        """As AttachInstances: one of the lab's servers that was detached is registered again."""
        group = _group_in(scaling, group_name)
        wanted = group.desired_capacity + len(instance_ids)
        _attach(scaling, group_name, instance_ids)
        group.desired_capacity = wanted  # moto counts those that are leaving, too
        for member in _members(group, instance_ids):
            if member.instance.id in self._group.machines:
                member.lifecycle_state = "Pending"

    def enter_standby_instances(
        self, scaling: AutoScalingBackend, group_name: str, instance_ids: list[str], decrement: bool
    ) -> list[EnterStandbyActivity]:
        """As EnterStandby: it runs on without requests, and is not the group's to replace."""
        group = _group_in(scaling, group_name)
        _check_members(group, instance_ids, "InService")
        if decrement and group.desired_capacity - len(instance_ids) < group.min_size:
            raise _invalid(
                f"Currently, desiredSize equals minSize ({group.min_size}). Taking instances out "
                "without replacement will violate the group's min size constraint. Either set "
                "shouldDecrementDesiredCapacity flag to false or lower the group's min size."
            )
        moved = _enter_standby(scaling, group_name, instance_ids, decrement)
        self._group.note_all(moved)
        return moved

    def exit_standby_instances(
        self, scaling: AutoScalingBackend, group_name: str, instance_ids: list[str]
    ) -> list[ExitStandbyActivity]:
        """As ExitStandby: it is registered again, and the group wants one more."""
        group = _group_in(scaling, group_name)
        _check_members(group, instance_ids, "Standby")
        if group.desired_capacity + len(instance_ids) > group.max_size:
            raise _invalid(f"The group's max size ({group.max_size}) would be exceeded.")
        moved = _exit_standby(scaling, group_name, instance_ids)
        for member in _members(group, instance_ids):
            member.lifecycle_state = "Pending"  # until it is registered
        self._group.note_all(moved)
        return moved


def _note_desired_capacity(group: FakeAutoScalingGroup, new_capacity: int | None) -> None:
    group.desired_capacity = group.min_size if new_capacity is None else new_capacity


def _of_known_processes(name: str) -> Callable[[AutoScalingBackend, str, list[str]], None]:
    """Moto's method of that name, for a group and for processes that there are."""
    moto_acts = getattr(AutoScalingBackend, name)

    def act(scaling: AutoScalingBackend, group_name: str, processes: list[str]) -> None:
        _group_in(scaling, group_name)
        for unknown in set(processes) - _PROCESSES:
            raise _invalid(f"{unknown} is not a valid scaling process.")
        moto_acts(scaling, group_name, processes)

    return act


def _group_in(scaling: AutoScalingBackend, name: str) -> Any:
    group = scaling.autoscaling_groups.get(name)
    if group is None:
        raise _invalid(f"AutoScalingGroup name not found - AutoScalingGroup {name} not found.")
    return group


def _members(group: Any, instance_ids: list[str]) -> list[InstanceState]:
    return [each for each in group.instance_states if each.instance.id in instance_ids]


def _check_members(group: Any, instance_ids: list[str], state: str) -> None:
    found = {each.instance.id: each.lifecycle_state for each in _members(group, instance_ids)}
    for each in instance_ids:
        if each not in found:
            raise _invalid(f"The instance {each} is not part of Auto Scaling group {group.name}.")
        if found[each] != state:
            raise _invalid(f"The instance {each} is not in {state}, but in {found[each]}.")


def _invalid(message: str) -> AutoscalingClientError:
    return AutoscalingClientError("ValidationError", message)
