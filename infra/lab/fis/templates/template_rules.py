"""What a template may say: AWS refuses the rest when it is created or updated, and so do we.

Where AWS's words are known (from its documentation and from users' reports) they are used; the
other messages are ours, in the same manner.
"""

from collections.abc import Collection, Mapping
from typing import Any

from infra.lab.cloud.names import ACCOUNT, REGION
from infra.lab.fis import quotas
from infra.lab.fis.action import ActionKind
from infra.lab.fis.duration import seconds_of
from infra.lab.fis.errors import InvalidRequest, NotFound, QuotaExceeded
from infra.lab.fis.experiments import stop_conditions as alarms
from infra.lab.fis.targets.resolution import selection
from infra.lab.fis.targets.resource_types import RESOURCE_TYPES, ResourceType
from infra.lab.fis.templates import action_order

_ALARM_PREFIX = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
Parts = Mapping[str, Mapping[str, Any]]


def check_template(
    *,
    targets: Parts,
    actions: Parts,
    stop_conditions: Collection[Mapping[str, Any]],
    kinds: Mapping[str, ActionKind],
) -> None:
    """Nothing, if experiments can be started from this.

    Raises:
        InvalidRequest, NotFound, QuotaExceeded: as FIS does.

    """
    _check_stop_conditions(stop_conditions)
    if not actions:
        raise InvalidRequest("You must specify at least one action.")
    _check_number("actions", actions, quotas.ACTIONS_PER_TEMPLATE)
    for name, target in targets.items():
        _check_target(name, target)
    for name, action in actions.items():
        action_id = action.get("actionId")
        if action_id is None:  # AWS's model of an update does not ask for it
            raise InvalidRequest(f'You must specify the ID of action "{name}".')
        if action_id not in kinds:
            raise NotFound(f"Action with ID {action_id} not found.")
        kind = kinds[action_id]
        _check_action_targets(name, action, kind, targets)
        _check_parameters(name, action.get("parameters") or {}, kind)
    _check_order({name: action.get("startAfter") or () for name, action in actions.items()})


def _check_stop_conditions(conditions: Collection[Mapping[str, Any]]) -> None:
    if not conditions:
        raise InvalidRequest("You must specify at least one stop condition.")
    _check_number("stop conditions", conditions, quotas.STOP_CONDITIONS_PER_TEMPLATE)
    for condition in conditions:
        source, value = condition["source"], condition.get("value")
        if source not in alarms.SOURCES:
            raise InvalidRequest(f"Stop condition source {source} is not supported.")
        if source == alarms.NONE and (value or len(conditions) > 1):
            raise InvalidRequest(
                'A stop condition with source "none" has no value, and none beside it.'
            )
        if source == alarms.ALARM and not f"{value}".startswith(_ALARM_PREFIX):
            raise InvalidRequest(
                f"Stop condition value {value} is not the ARN of a CloudWatch alarm."
            )


def _check_number(what: str, given: Collection[Any], most: int) -> None:
    if len(given) > most:
        raise QuotaExceeded(
            f"The experiment template has {len(given)} {what}; the quota is {most} {what} per "
            "experiment template."
        )


def _check_target(name: str, target: Mapping[str, Any]) -> None:
    kind = RESOURCE_TYPES.get(target["resourceType"])
    if kind is None:
        raise InvalidRequest(
            f'Resource type {target["resourceType"]} of target "{name}" is not supported.'
        )
    arns, tags = target.get("resourceArns"), target.get("resourceTags")
    if arns and tags:
        raise InvalidRequest(
            f"You cannot specify both resource ARNs and resource tags for target {name}."
        )
    if arns and target.get("filters"):
        raise InvalidRequest(
            f"You cannot specify both resource ARNs and resource filters for target {name}."
        )
    if not (arns or tags or target.get("parameters")):
        raise InvalidRequest(
            f"You must specify resource ARNs, resource tags or parameters for target {name}."
        )
    _check_names(name, target, kind)
    try:
        selection(target["selectionMode"])
    except ValueError as error:
        raise InvalidRequest(f'Target "{name}": {error}.') from error


def _check_names(name: str, target: Mapping[str, Any], kind: ResourceType) -> None:
    for arn in target.get("resourceArns") or ():
        if not arn.startswith(kind.arn_prefix):
            raise InvalidRequest(
                f'Resource ARN {arn} of target "{name}" is not that of a resource of type '
                f"{kind.id} in this account and Region."
            )
    for parameter in target.get("parameters") or {}:
        if parameter not in kind.parameters:
            raise InvalidRequest(f'Unexpected parameter "{parameter}" found in target "{name}".')


def _check_action_targets(
    name: str, action: Mapping[str, Any], kind: ActionKind, targets: Parts
) -> None:
    given: Mapping[str, str] = action.get("targets") or {}
    for key in given:
        if key not in kind.targets:
            raise InvalidRequest(f'Unexpected target "{key}" found in action "{name}".')
    for key, resource_type in kind.targets.items():
        if key not in given:
            raise InvalidRequest(f'Missing target "{key}" in action "{name}".')
        if given[key] not in targets:
            raise InvalidRequest(f'Target "{given[key]}" of action "{name}" is not defined.')
        found = targets[given[key]]["resourceType"]
        if found != resource_type:
            raise InvalidRequest(
                f'Target "{given[key]}" of action "{name}" has resource type {found}, '
                f"but {action['actionId']} acts on {resource_type}."
            )


def _check_parameters(name: str, given: Mapping[str, str], kind: ActionKind) -> None:
    for parameter in kind.required:
        if parameter not in given:
            raise InvalidRequest(f'Missing parameter "{parameter}" in action "{name}".')
    for parameter, value in given.items():
        if parameter not in kind.required and parameter not in kind.optional:
            raise InvalidRequest(f'Unexpected parameter "{parameter}" found in action "{name}".')
        if parameter.lower().endswith("duration"):
            _check_duration(name, parameter, value)


def _check_duration(name: str, parameter: str, value: str) -> None:
    try:
        seconds = seconds_of(value)
    except ValueError as error:
        raise InvalidRequest(f'Parameter "{parameter}" of action "{name}": {error}.') from error
    if seconds > quotas.ACTION_DURATION_S:
        raise InvalidRequest(
            f'Parameter "{parameter}" of action "{name}" is {value}; the longest is PT12H.'
        )


def _check_order(order: action_order.Order) -> None:
    for name, after in order.items():
        for each in after:
            if each not in order:
                raise InvalidRequest(
                    f'Action "{name}" starts after action "{each}", which is not defined.'
                )
    circle = action_order.stuck(order)
    if circle:
        raise InvalidRequest(
            f"Actions {', '.join(circle)} can never start: startAfter leads in a circle."
        )
    together = action_order.parallel(order)
    if together > quotas.PARALLEL_ACTIONS:
        raise QuotaExceeded(
            f"{together} actions of the experiment template may run in parallel; the quota is "
            f"{quotas.PARALLEL_ACTIONS} parallel actions per experiment."
        )
