"""Which instances an experiment hits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.lab.fis.targets import Candidate, TargetResolutionFailed, resolve


def instance(number: int, *, state: str = "running", **tags: str) -> Candidate:
    return Candidate(
        instance_id=f"i-{number}",
        arn=f"arn:aws:ec2:us-east-1:123456789012:instance/i-{number}",
        tags=tags or {"ChaosTarget": "true"},
        attributes={"State.Name": state, "Placement.AvailabilityZone": "us-east-1a"},
    )


def target(**changes: Any) -> dict[str, Any]:
    return {
        "resourceTags": {"ChaosTarget": "true"},
        "filters": [{"path": "State.Name", "values": ["running"]}],
        "selectionMode": "ALL",
    } | changes


def ids(chosen: list[Candidate]) -> list[str]:
    return [each.instance_id for each in chosen]


def test_only_instances_with_all_the_tags_are_hit() -> None:
    assert ids(resolve(target(), [instance(1), instance(2, ChaosTarget="false")])) == ["i-1"]


def test_an_instance_that_is_not_running_is_not_hit() -> None:
    candidates = [instance(1, state="terminated"), instance(2)]
    assert ids(resolve(target(), candidates)) == ["i-2"]


def test_an_arn_names_one() -> None:
    wanted = instance(2).arn
    chosen = resolve({"resourceArns": [wanted], "selectionMode": "ALL"}, [instance(1), instance(2)])
    assert ids(chosen) == ["i-2"]


def test_an_unknown_filter_matches_nothing() -> None:
    filters = [{"path": "Nonsense", "values": ["running"]}]
    assert resolve(target(filters=filters), [instance(1)]) == []


@given(st.integers(0, 6), st.integers(0, 8))
def test_count_hits_that_many_and_never_one_twice(available: int, count: int) -> None:
    candidates = [instance(number) for number in range(available)]
    chosen = ids(resolve(target(selectionMode=f"COUNT({count})"), candidates))
    assert len(chosen) == len(set(chosen)) == min(available, count)


@pytest.mark.parametrize(("percent", "hit"), [(0, 0), (50, 2), (70, 3), (100, 5)])
def test_percent_rounds_down(percent: int, hit: int) -> None:
    candidates = [instance(number) for number in range(5)]
    assert len(resolve(target(selectionMode=f"PERCENT({percent})"), candidates)) == hit


def test_a_selection_mode_that_makes_no_sense_fails_the_experiment() -> None:
    with pytest.raises(TargetResolutionFailed, match="SOME"):
        resolve(target(selectionMode="SOME"), [instance(1)])
