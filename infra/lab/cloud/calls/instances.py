"""EC2's verbs: what is called on an instance happens to its machine."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance
from moto.ec2.responses.instances import InstanceResponse

from infra.lab.cloud.calls.replacement import Replacement, method
from infra.lab.servers.auto_scaling_group import AutoScalingGroup

_CANNOT_START = frozenset({"stopping", "shutting-down", "terminated"})


class InstanceCalls:
    """Start, stop, terminate, reboot. A user's own instances, which no machine is, are moto's."""

    def __init__(self, group: AutoScalingGroup) -> None:
        self._group = group

    def replacements(self) -> Iterator[Replacement]:
        """Of moto's methods."""
        for verb in ("start", "stop", "terminate", "reboot"):
            yield Replacement(Instance, verb, self._verb(verb))
        for verb in ("start", "stop", "terminate"):
            yield Replacement(InstanceResponse, f"{verb}_instances", self._telling_state(verb))
        moto_starts = EC2Backend.start_instances

        def start_instances(ec2: Any, instance_ids: list[str]) -> Any:
            for instance in ec2.get_multi_instances_by_id(instance_ids):
                if instance.state in _CANNOT_START:
                    raise EC2ClientError(
                        "IncorrectInstanceState",
                        f"The instance '{instance.id}' is not in a state from which it can be "
                        "started.",
                    )
            return moto_starts(ec2, instance_ids)

        yield Replacement(EC2Backend, "start_instances", method(start_instances))

    def _telling_state(self, verb: str) -> Callable[[InstanceResponse], ActionResult]:
        """Moto's answer, with the state that a machine is in, whether or not it obeyed."""
        moto_answers = getattr(InstanceResponse, f"{verb}_instances")

        def answer(response: InstanceResponse) -> ActionResult:
            answered: ActionResult = moto_answers(response)
            result: Any = answered.result
            for told in next(iter(result.values())):
                if told["InstanceId"] in self._group.machines:
                    state = response.ec2_backend.get_instance(told["InstanceId"])._state  # noqa: SLF001
                    told["CurrentState"] = {"Code": state.code, "Name": state.name}
            return answered

        return answer

    def _verb(self, verb: str) -> Callable[[Instance], Any]:
        moto_acts = getattr(Instance, verb)

        def act(instance: Instance) -> Any:
            machine = self._group.machines.get(instance.id)
            if machine is None:
                return moto_acts(instance)
            before = copy.copy(instance._state)  # noqa: SLF001
            getattr(machine, verb)()
            return before

        return act
