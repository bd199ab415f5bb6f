"""From a template's target to instances: tags, ARNs, filters, selection mode."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class TargetResolutionFailed(Exception):
    """The experiment fails with this reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An instance as target resolution sees it. `attributes` by filter path."""

    instance_id: str
    arn: str
    tags: Mapping[str, str]
    attributes: Mapping[str, str]


def resolve(target: Mapping[str, Any], candidates: Iterable[Candidate]) -> list[Candidate]:
    """The instances that a template's target means now.

    Raises:
        TargetResolutionFailed: the selection mode makes no sense.

    """
    fitting = [each for each in candidates if _fits(target, each)]
    return _select(str(target.get("selectionMode", "ALL")), fitting)


def _fits(target: Mapping[str, Any], candidate: Candidate) -> bool:
    arns: Sequence[str] = target.get("resourceArns") or ()
    if arns and candidate.arn not in arns:
        return False
    tags: Mapping[str, str] = target.get("resourceTags") or {}
    if any(candidate.tags.get(key) != value for key, value in tags.items()):
        return False
    filters: Sequence[Mapping[str, Any]] = target.get("filters") or ()
    return all(candidate.attributes.get(each["path"]) in each["values"] for each in filters)


def _select(mode: str, fitting: list[Candidate]) -> list[Candidate]:
    if mode == "ALL":
        return fitting
    matched = re.fullmatch(r"(COUNT|PERCENT)\((\d+)\)", mode)
    if matched is None:
        raise TargetResolutionFailed(
            f"selectionMode {mode} is not one of ALL, COUNT(n), PERCENT(n)"
        )
    number = int(matched[2])
    if matched[1] == "PERCENT":
        number = math.floor(len(fitting) * number / 100)
    return random.sample(fitting, min(number, len(fitting)))
