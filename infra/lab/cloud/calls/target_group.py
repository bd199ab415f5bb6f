"""The target group's calls: who is registered, how healthy each is, and what is set.

Those on the lab's own target group and load balancer; a user's own are records of moto's.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.core.utils import camelcase_to_underscores
from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup
from moto.elbv2.responses import ELBV2Response

from infra.lab.balancer.target_health import TargetHealth
from infra.lab.cloud.calls.replacement import Replacement
from infra.lab.cloud.moto_server import backend
from infra.lab.cloud.names import LOAD_BALANCER, TARGET_GROUP
from infra.lab.servers.auto_scaling_group import AutoScalingGroup
from infra.lab.servers.machine import MachineState

DRAINING = "deregistration_delay.timeout_seconds"
# The attributes that can be set; of all others, what is asked for has to be what is.
_CAN_CHANGE = frozenset({DRAINING, "deletion_protection.enabled"})


class TargetGroupCalls:
    """What a user may do to the targets, and ask of them."""

    def __init__(self, *, group: AutoScalingGroup, health: TargetHealth) -> None:
        self._group = group
        self._health = health

    def replacements(self) -> Iterator[Replacement]:
        """Of moto's methods."""
        for name, ours in (
            ("describe_target_health", self._describe_health),
            ("register_targets", self._register),
            ("deregister_targets", self._deregister),
            ("modify_target_group_attributes", self._set_attributes),
        ):
            yield Replacement(ELBv2Backend, name, _on_ours(name, ours))
        yield Replacement(ELBV2Response, "modify_target_group", _keeping_health_checks())
        yield Replacement(ELBv2Backend, "modify_load_balancer_attributes", _keeping_load_balancer())

    def _describe_health(
        self, group: FakeTargetGroup, targets: list[dict[str, Any]]
    ) -> list[FakeHealthStatus]:
        answers = []
        for instance_id in [each["Id"] for each in targets] or self._health.instance_ids():
            health = self._health.of(instance_id)
            port: Any = self._health.port_of(instance_id) or group.port  # a number, as of AWS
            answers.append(
                FakeHealthStatus(
                    instance_id, port, str(port), health.state, health.reason, health.description
                )
            )
        return answers

    def _register(self, group: FakeTargetGroup, targets: list[dict[str, Any]]) -> None:
        for target in targets:
            machine = self._group.machines.get(target["Id"])
            if machine is None or machine.state is not MachineState.RUNNING:
                raise _invalid_target(
                    "The following targets are not in a running state and cannot be registered: "
                    f"'{target['Id']}' (of instances, the lab has a machine for those of its group)"
                )
            if target.get("Port", group.port) not in {group.port, machine.place.port}:
                raise _invalid_target(f"The lab's servers listen on port {group.port} alone")
        for each in {target["Id"] for target in targets}:
            if self._health.of(each).state in {"draining", "unused"}:
                self._health.register(self._group.machines[each].place)

    def _deregister(self, _group: FakeTargetGroup, targets: list[dict[str, Any]]) -> None:
        for target in targets:  # of one that is not registered AWS says nothing
            self._health.deregister(target["Id"], time.monotonic())

    def _set_attributes(self, group: FakeTargetGroup, attributes: dict[str, str]) -> None:
        _refuse_changes(attributes, group.attributes)
        _moto_sets_attributes(backend("elbv2"), group.arn, attributes)
        if DRAINING in attributes:
            self._health.set_deregistration_delay(float(attributes[DRAINING]))


_moto_sets_attributes = ELBv2Backend.modify_target_group_attributes


def _on_ours(name: str, ours: Callable[[FakeTargetGroup, Any], Any]) -> Callable[..., Any]:
    """Moto's method of that name, and `ours` where it is called on the lab's target group."""
    moto_acts = getattr(ELBv2Backend, name)

    def act(elb: ELBv2Backend, target_group_arn: str, rest: Any) -> Any:
        group = elb.target_groups.get(target_group_arn)
        if group is not None and group.name == TARGET_GROUP:
            return ours(group, rest)
        return moto_acts(elb, target_group_arn, rest)

    return act


def _keeping_health_checks() -> Callable[[ELBV2Response], Any]:
    moto_acts = ELBV2Response.modify_target_group

    def act(response: ELBV2Response) -> Any:
        asked = dict(response.params)
        group = response.elbv2_backend.target_groups.get(asked.pop("TargetGroupArn"))
        if group is not None and group.name == TARGET_GROUP:
            _refuse_changes(
                asked, {each: getattr(group, camelcase_to_underscores(each)) for each in asked}
            )
        return moto_acts(response)

    return act


def _keeping_load_balancer() -> Callable[..., Any]:
    moto_acts = ELBv2Backend.modify_load_balancer_attributes

    def act(elb: ELBv2Backend, arn: str, attributes: dict[str, str]) -> Any:
        balancer = elb.load_balancers.get(arn)
        if balancer is not None and balancer.name == LOAD_BALANCER:
            _refuse_changes(attributes, balancer.attrs)
        return moto_acts(elb, arn, attributes)

    return act


def _refuse_changes(asked: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """InvalidConfigurationRequest where something would have to become other than it is."""
    for name, value in asked.items():
        is_so = name in known and str(known[name]).lower() == str(value).lower()
        if not is_so and name not in _CAN_CHANGE:
            raise ELBClientError(
                "InvalidConfigurationRequest",
                f"{name}: the lab's load balancer is set up when the lab is raised, and does not "
                f"change; it is {known.get(name, 'not there')}.",
            )


def _invalid_target(message: str) -> ELBClientError:
    return ELBClientError("InvalidTarget", message)
