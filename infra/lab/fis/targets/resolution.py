"""From a template's target to resources: tags, ARNs, parameters, filters, selection mode."""

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from infra.lab.fis.targets.resource_types import Candidate, ResourceType

EMPTY = "Target resolution returned empty set"
_SELECTION = re.compile(r"(COUNT|PERCENT)\((\d{1,6})\)")


def selection(mode: str) -> tuple[str, int]:
    """`ALL`, `COUNT` or `PERCENT`, and the number.

    Raises:
        ValueError: the mode is not one of AWS's.

    """
    if mode == "ALL":
        return mode, 0
    matched = _SELECTION.fullmatch(mode)
    most = 100 if matched and matched[1] == "PERCENT" else float("inf")
    if matched is None or not 1 <= int(matched[2]) <= most:
        raise ValueError(f"selectionMode {mode} is not one of ALL, COUNT(n), PERCENT(n)")
    return matched[1], int(matched[2])


def resolve(target: Mapping[str, Any], kind: ResourceType) -> list[Candidate]:
    """The resources that a template's target means now; chosen at random where it says so."""
    fitting = [each for each in kind.candidates() if _fits(target, kind, each)]
    mode, number = selection(str(target["selectionMode"]))
    if mode == "ALL":
        return fitting
    if mode == "PERCENT":
        number = len(fitting) * number // 100  # AWS rounds down, to none if need be
    return random.sample(fitting, min(number, len(fitting)))


def values_at(description: Any, path: Sequence[str]) -> Iterator[str]:
    """All values that a filter's path leads to; lists on the way are gone through."""
    if isinstance(description, list | tuple):
        for each in description:
            yield from values_at(each, path)
    elif not path:
        if description is not None and not isinstance(description, Mapping):
            yield str(description).lower() if isinstance(description, bool) else str(description)
    elif isinstance(description, Mapping) and path[0] in description:
        yield from values_at(description[path[0]], path[1:])


def _fits(target: Mapping[str, Any], kind: ResourceType, candidate: Candidate) -> bool:
    arns: Sequence[str] = target.get("resourceArns") or ()
    tags: Mapping[str, str] = target.get("resourceTags") or {}
    parameters: Mapping[str, str] = target.get("parameters") or {}
    return (
        (not arns or candidate.arn in arns)
        and all(candidate.tags.get(key) == value for key, value in tags.items())
        and all(
            values == ["all"] or _has_one(candidate, kind.parameters[name].paths, values)
            for name, value in parameters.items()
            for values in [[each.strip() for each in value.split(",")]]
        )
        and all(
            _has_one(candidate, [each["path"]], each["values"])
            for each in target.get("filters") or ()
        )
    )


def _has_one(candidate: Candidate, paths: Iterable[str], values: Iterable[str]) -> bool:
    found = {value for path in paths for value in values_at(candidate.description, path.split("."))}
    return not found.isdisjoint(values)
