"""What makes moto act: the few of its methods that are replaced, and by what.

moto answers each API call from its records. These replacements make the records follow the
lab's machines, and the lab's machines follow the calls. moto's records are not made for threads:
one lock, held by each API call and by each turn of the supervisor's loop, keeps them apart.
"""

import contextlib
import copy
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from moto.ec2.models.instances import Instance
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from infra.lab.balancer.target_health import TargetHealth
from infra.lab.cloud.moto_server import backend
from infra.lab.cloud.names import GROUP
from infra.lab.database.data_api import PATHS, DataApi
from infra.lab.fis.action import load_actions
from infra.lab.fis.api.control_plane import ControlPlane
from infra.lab.fis.experiments.experiment import Surroundings
from infra.lab.fis.servers_and_database import Lab
from infra.lab.fis.targets.resource_types import RESOURCE_TYPES
from infra.lab.servers.auto_scaling_group import AutoScalingGroup

_PAGE = 100  # the most activities in one answer, as of AWS


class MotoReplacements:
    """Installs the replacements, and takes them out again."""

    def __init__(
        self,
        *,
        lock: threading.RLock,
        lab: Lab,
        group: AutoScalingGroup,
        health: TargetHealth,
        data_api: DataApi,
        initiating_s: float,
    ) -> None:
        self._lock = lock
        self._group = group
        self._health = health
        self._data_api = data_api
        self._control_plane = ControlPlane(
            Surroundings(
                lab=lab,
                kinds=load_actions(),
                resource_types=RESOURCE_TYPES,
                alarm_states=_alarm_state,
                initiating_s=initiating_s,
            )
        )
        self._patches = contextlib.ExitStack()

    def install(self) -> None:
        """From now on moto does not act on instances by itself."""
        for owner, name, replacement in self._replacements():
            self._patches.enter_context(mock.patch.object(owner, name, replacement))
        self._control_plane.install()

    def remove(self) -> None:
        """Leave moto as it was."""
        self._control_plane.remove()
        self._patches.close()

    def tick(self) -> None:
        """Let experiments go on."""
        self._control_plane.tick()

    def _replacements(self) -> Iterator[tuple[type | Any, str, Any]]:
        yield DomainDispatcherApplication, "__call__", self._one_at_a_time()
        for verb in ("start", "stop", "terminate", "reboot"):
            yield Instance, verb, self._instance_verb(verb)
        # The group's size is the group's business, not moto's.
        yield FakeAutoScalingGroup, "set_desired_capacity", _note_desired_capacity
        yield AutoScalingBackend, "notify_terminate_instances", lambda *_: None
        yield AutoScalingBackend, "update_attached_target_groups", lambda *_: None
        yield AutoScalingResponse, "describe_scaling_activities", _method(self._describe_activities)
        yield ELBv2Backend, "describe_target_health", _method(self._describe_health)

    def _one_at_a_time(self) -> Callable[..., Any]:
        moto_answers = DomainDispatcherApplication.__call__

        def answer(
            app: DomainDispatcherApplication, environ: dict[str, Any], start_response: Any
        ) -> Any:
            # A client that is slow to send must not hold up the lab.
            size = int(environ.get("CONTENT_LENGTH") or 0)
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(size))
            if environ.get("PATH_INFO") in PATHS:
                # Not moto's, and it may take as long as the database does.
                return self._data_api(environ, start_response)
            with self._lock:
                return moto_answers(app, environ, start_response)

        return answer

    def _instance_verb(self, verb: str) -> Callable[[Instance], Any]:
        moto_acts = getattr(Instance, verb)

        def act(instance: Instance) -> Any:
            machine = self._group.machines.get(instance.id)
            if machine is None:
                return moto_acts(instance)  # a user's own, which no machine stands for
            before = copy.copy(instance._state)  # noqa: SLF001
            getattr(machine, verb)()
            return before

        return act

    def _describe_activities(self, response: AutoScalingResponse) -> ActionResult:
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

    def _describe_health(
        self, elb: ELBv2Backend, target_group_arn: str, targets: list[dict[str, Any]]
    ) -> list[FakeHealthStatus]:
        group = next(iter(elb.describe_target_groups(None, [target_group_arn], None)))
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


def _note_desired_capacity(group: FakeAutoScalingGroup, new_capacity: int | None) -> None:
    group.desired_capacity = group.min_size if new_capacity is None else new_capacity


def _alarm_state(arn: str) -> str | None:
    alarms = backend("cloudwatch").alarms.values()
    return next((str(each.state_value) for each in alarms if each.alarm_arn == arn), None)


def _method(ours: Callable[..., Any]) -> Callable[..., Any]:
    """As a method of moto's class: the object that it is called on becomes the first argument."""
    return lambda *given, **named: ours(*given, **named)  # noqa: PLW0108  (`ours` is bound already)
