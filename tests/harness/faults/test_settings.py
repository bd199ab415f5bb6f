"""What is asked for about faults: moments, several at a time, conditions, secrets, guards."""

import argparse
import contextlib

import configargparse  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BadArgument
from harness.faults.abort import MEASURES, Abort, Watchdog, parse_aborts
from harness.faults.commands.secrets import masked
from harness.faults.fis.blast_radius import Blast, Hit, Resource
from harness.faults.guards import Guards
from harness.faults.moment import parse_fire_at
from harness.faults.settings import FaultSettings, add_fault_arguments
from harness.record.pulse import Reading


def settings(*arguments: str) -> FaultSettings:
    parser = configargparse.ArgumentParser()
    add_fault_arguments(parser)
    options = parser.parse_args(list(arguments))
    assert isinstance(options, argparse.Namespace)
    return FaultSettings.from_options(options)


def test_each_template_may_have_its_moment_and_the_others_have_the_common_one() -> None:
    asked = settings("--fis-template", "a@60%,b", "--fis-template", "c@users:5", "--fault-at", "9s")
    assert [(each.what, str(each.at)) for each in asked.templates] == [
        *(("a", "60%"), ("b", "9s"), ("c", "users:5")),
    ]


def test_a_flag_that_is_repeated_is_several_faults() -> None:
    assert [
        each.what for each in settings("--fis-template=a@1s", "--fis-template=b@2s").templates
    ] == [
        "a",
        "b",
    ]


def test_an_empty_template_on_the_command_line_is_none() -> None:
    assert settings("--fis-template=").templates == ()


def test_a_command_may_have_its_moment_before_it() -> None:
    asked = settings("--fault-command", "60%: kill it", "--fault-command", "echo a: b")
    assert [(each.what, str(each.at)) for each in asked.commands] == [
        *(("kill it", "60%"), ("echo a: b", "30s")),
    ]


@pytest.mark.parametrize("text", ["users:0", "users:x", "steady:", "steady:1s", "steady:x"])
def test_moments_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a time|at least 2 s"):
        parse_fire_at(text)


def test_moments_that_never_come_are_refused() -> None:
    with pytest.raises(BadArgument, match="the run has 10 users"):
        parse_fire_at("users:11").check(run_time_s=60, users=10)
    with pytest.raises(BadArgument, match="the run ends after 5 s"):
        parse_fire_at("steady:10s").check(run_time_s=5, users=10)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("eror_rate > 5% for 2s", "known: error_rate, p50"),
        ("error_rate", "has no limit"),
        ("error_rate > 5ms", "needs a %"),
        ("error_rate > 500%", "never comes"),
        ("p95 > 5%", "needs ms or s"),
        ("rate < 5s", "needs no unit"),
        ("p95 > 5s for 2h", "is no condition"),
        ("rate < 5 for 601s", "at most"),
        ("no_healthy_targets > 1", "takes no limit"),
    ],
)
def test_conditions_that_cannot_be_used_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_aborts(text)


@given(st.text(max_size=40) | st.sampled_from(list(MEASURES)))
def test_reading_a_condition_never_crashes(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(isinstance(each, Abort) for each in parse_aborts(text))


def said(condition: str, values: list[float | None], name: str) -> list[bool]:
    dog = Watchdog(aborts=parse_aborts(condition))
    return [
        bool(dog.take(Reading(at=at, values={} if value is None else {name: value})))
        for at, value in enumerate(values)
    ]


def test_a_condition_has_to_hold_all_the_time_that_it_is_for() -> None:
    bad, good = 0.9, 0.1
    found = said("error_rate > 50% for 3s", [bad, bad, good, bad, bad, bad], "error_rate")
    assert found == [False] * 5 + [True]


def test_seconds_of_which_nothing_is_known_say_nothing() -> None:
    found = said("error_rate > 50% for 3s", [0.9, None, 0.9], "error_rate")
    assert found == [False, False, True]


def test_no_healthy_targets_is_fewer_than_one() -> None:
    assert said("no_healthy_targets for 2s", [1, 0, 0], "healthy_targets") == [False, False, True]


def test_times_are_compared_in_one_unit() -> None:
    assert said("p95 > 2s; p95(all) > 500ms", [600.0], "p95") == [True]


@pytest.mark.parametrize(
    "text",
    [
        "psql postgresql://shop:geheim@db/shop",
        "curl --password geheim http://x",
        "env API_KEY=geheim run",
        'curl -d \'{"token": "geheim"}\' x',
    ],
)
def test_secrets_are_not_written_down(text: str) -> None:
    assert "geheim" not in masked(text)
    assert masked(text).startswith(text[:4])


def test_values_of_secret_variables_are_not_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter22")
    assert masked("it said hunter22!") == "it said ***!"


def guards(*arguments: str) -> Guards:
    return settings(*arguments).guards


def blast(*, mode: int, healthy: str, candidates: str = "ab", tag: str = "true") -> Blast:
    found = tuple(
        Resource(id=each, tags={"ChaosTarget": tag}, instances=frozenset({each}))
        for each in candidates
    )
    hit = Hit(
        name="servers",
        kind="aws:ec2:instance",
        verbs=("stop",),
        selected_by={},
        candidates=found,
        mode=f"COUNT({mode})",
        most=mode,
    )
    return Blast(hits=(hit,), healthy=frozenset(healthy))


@pytest.mark.parametrize(
    ("mode", "healthy", "left"),
    [(1, "ab", 1), (2, "ab", 0), (1, "a", 0), (1, "bc", 1), (1, "c", 1)],
)
def test_what_is_left_is_left_at_worst(mode: int, healthy: str, left: int) -> None:
    found = blast(mode=mode, healthy=healthy)
    assert found.left == left
    assert bool(guards()._too_few(found)) == (left < 1)


def test_a_target_without_the_tag_is_named() -> None:
    found = guards()._untagged(blast(mode=1, healthy="ab", tag="false"))
    assert found == "a, b may be hit and has no tag ChaosTarget=true"


def test_unknown_guards_list_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        guards("--guard-off", "tags")
    assert "account, tag, healthy, experiments, baseline" in capsys.readouterr().err
