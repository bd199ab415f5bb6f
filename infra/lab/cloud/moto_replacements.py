"""What makes moto act: its methods that are replaced, by what `calls` has, FIS and the Data API.

moto answers each API call from its records. These replacements make the records follow the
lab's machines, and the lab's machines follow the calls. moto's records are not made for threads:
one lock, held by each API call and by each turn of the supervisor's loop, keeps them apart.
"""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from infra.lab.balancer.target_health import TargetHealth
from infra.lab.cloud.calls import refused
from infra.lab.cloud.calls.database_cluster import DatabaseCalls
from infra.lab.cloud.calls.instances import InstanceCalls
from infra.lab.cloud.calls.replacement import Replacement
from infra.lab.cloud.calls.scaling_group import ScalingGroupCalls
from infra.lab.cloud.calls.target_group import TargetGroupCalls
from infra.lab.cloud.moto_server import backend
from infra.lab.database.data_api import PATHS, DataApi
from infra.lab.fis.action import load_actions
from infra.lab.fis.api.control_plane import ControlPlane
from infra.lab.fis.experiments.experiment import Surroundings
from infra.lab.fis.servers_and_database import Lab
from infra.lab.fis.targets.resource_types import RESOURCE_TYPES
from infra.lab.servers.auto_scaling_group import AutoScalingGroup


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
        self._calls = (
            InstanceCalls(group),
            ScalingGroupCalls(group),
            TargetGroupCalls(group=group, health=health),
            DatabaseCalls(lab.database),
            refused,
        )
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
        for owner, name, value, is_new in self._replacements():
            self._patches.enter_context(mock.patch.object(owner, name, value, create=is_new))
        self._control_plane.install()

    def remove(self) -> None:
        """Leave moto as it was."""
        self._control_plane.remove()
        self._patches.close()

    def tick(self) -> None:
        """Let experiments go on."""
        self._control_plane.tick()

    def _replacements(self) -> Iterator[Replacement]:
        yield Replacement(DomainDispatcherApplication, "__call__", self._one_at_a_time())
        for calls in self._calls:
            yield from calls.replacements()

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


def _alarm_state(arn: str) -> str | None:
    alarms = backend("cloudwatch").alarms.values()
    return next((str(each.state_value) for each in alarms if each.alarm_arn == arn), None)
