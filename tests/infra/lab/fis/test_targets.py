"""Which resources an experiment hits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.lab.fis.targets.resolution import resolve, selection, values_at
from infra.lab.fis.targets.resource_types import RESOURCE_TYPES, Candidate, ResourceType


def instance(number: int, *, state: str = "running", **tags: str) -> Candidate:
    return Candidate(
        id=f"i-{number}",
        arn=f"arn:aws:ec2:us-east-1:123456789012:instance/i-{number}",
        tags=tags or {"ChaosTarget": "true"},
        description={
            "State": {"Name": state, "Code": 16},
            "Placement": {"AvailabilityZone": "us-east-1a"},
            "SecurityGroups": [{"GroupId": "sg-1"}, {"GroupId": f"sg-of-{number}"}],
        },
    )


def subnet(zone: str, vpc: str = "vpc-1") -> Candidate:
    return Candidate(
        id=f"subnet-{zone}",
        arn=f"arn:aws:ec2:us-east-1:123456789012:subnet/subnet-{zone}",
        tags={},
        description={"AvailabilityZone": zone, "AvailabilityZoneId": f"id-{zone}", "VpcId": vpc},
    )


def target(**changes: Any) -> dict[str, Any]:
    return {
        "resourceTags": {"ChaosTarget": "true"},
        "filters": [{"path": "State.Name", "values": ["running"]}],
        "selectionMode": "ALL",
    } | changes


def hit(target: dict[str, Any], candidates: list[Candidate], kind: str = "instance") -> list[str]:
    like = RESOURCE_TYPES[f"aws:ec2:{kind}"]
    here = ResourceType(
        id=like.id,
        description=like.description,
        arn_prefix=like.arn_prefix,
        candidates=lambda: candidates,
        parameters=like.parameters,
    )
    return [each.id for each in resolve(target, here)]


def test_only_instances_with_all_the_tags_are_hit() -> None:
    assert hit(target(), [instance(1), instance(2, ChaosTarget="false")]) == ["i-1"]


def test_an_empty_tag_value_is_no_wildcard() -> None:
    empty = target(resourceTags={"ChaosTarget": ""})
    assert hit(empty, [instance(1), instance(2, ChaosTarget="")]) == ["i-2"]


def test_an_instance_that_is_not_running_is_not_hit() -> None:
    assert hit(target(), [instance(1, state="terminated"), instance(2)]) == ["i-2"]


def test_an_arn_names_one() -> None:
    named = {"resourceArns": [instance(2).arn], "selectionMode": "ALL"}
    assert hit(named, [instance(1), instance(2)]) == ["i-2"]


def test_an_unknown_filter_matches_nothing() -> None:
    filters = [{"path": "Nonsense.Name", "values": ["running"]}]
    assert hit(target(filters=filters), [instance(1)]) == []


def test_a_filter_wants_one_of_its_values_and_all_filters_want_one() -> None:
    filters = [
        {"path": "State.Name", "values": ["running", "stopped"]},
        {"path": "Placement.AvailabilityZone", "values": ["us-east-1a"]},
    ]
    candidates = [instance(1), instance(2, state="stopped"), instance(3, state="pending")]
    assert hit(target(filters=filters), candidates) == ["i-1", "i-2"]
    elsewhere = [*filters, {"path": "Placement.AvailabilityZone", "values": ["us-east-1b"]}]
    assert hit(target(filters=elsewhere), candidates) == []


def test_a_path_goes_through_lists_to_any_of_their_values() -> None:
    filters = [{"path": "SecurityGroups.GroupId", "values": ["sg-of-2"]}]
    assert hit(target(filters=filters), [instance(1), instance(2)]) == ["i-2"]


def test_a_number_is_matched_by_its_digits() -> None:
    assert list(values_at({"State": {"Code": 16}}, ["State", "Code"])) == ["16"]


def test_subnets_are_found_by_zone_or_its_id_and_by_vpc() -> None:
    subnets = [subnet("us-east-1a"), subnet("us-east-1b"), subnet("us-east-1b", vpc="vpc-2")]

    def of(**parameters: str) -> list[str]:
        return hit({"parameters": parameters, "selectionMode": "ALL"}, subnets, "subnet")

    assert of(availabilityZoneIdentifier="us-east-1a") == ["subnet-us-east-1a"]
    assert of(availabilityZoneIdentifier="id-us-east-1a") == ["subnet-us-east-1a"]
    assert len(of(availabilityZoneIdentifier="us-east-1b")) == 2
    assert len(of(availabilityZoneIdentifier="us-east-1b", vpc="vpc-2")) == 1
    assert of(availabilityZoneIdentifier="us-east-1c") == []


@given(st.integers(0, 6), st.integers(1, 8))
def test_count_hits_that_many_and_never_one_twice(available: int, count: int) -> None:
    candidates = [instance(number) for number in range(available)]
    chosen = hit(target(selectionMode=f"COUNT({count})"), candidates)
    assert len(chosen) == len(set(chosen)) == min(available, count)


@pytest.mark.parametrize(("percent", "chosen"), [(5, 0), (19, 0), (20, 1), (50, 2), (100, 5)])
def test_percent_rounds_down(percent: int, chosen: int) -> None:
    candidates = [instance(number) for number in range(5)]
    assert len(hit(target(selectionMode=f"PERCENT({percent})"), candidates)) == chosen


@pytest.mark.parametrize(
    "mode", ["SOME", "COUNT", "COUNT(0)", "COUNT(-1)", "PERCENT(0)", "PERCENT(101)", "count(1)", ""]
)
def test_a_selection_mode_that_makes_no_sense_is_none(mode: str) -> None:
    with pytest.raises(ValueError, match="is not one of ALL, COUNT"):
        selection(mode)
