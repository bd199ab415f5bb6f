"""What stands behind the load balancer, as the events of a run tell it."""

from typing import Any

from analysis.evidence.records import Event
from harness.page.servers import Scene


def scene(*events: tuple[str, str, str, str]) -> Scene:
    heard = Scene()
    for number, (source, subject, event, detail) in enumerate(events):
        heard.hear(Event(at=number, source=source, subject=subject, event=event, detail=detail))
    return heard


def servers(heard: Scene) -> dict[str, Any]:
    return {each["id"]: each for each in heard.as_dict()["servers"]}


def test_a_server_is_as_its_last_events_say() -> None:
    found = servers(
        scene(
            ("elb", "i-1", "healthy", ""),
            ("ec2", "i-1", "running", "us-east-1a"),
            ("elb", "i-1", "unhealthy", "Target.Timeout"),
            ("ec2", "i-1", "stopped", "us-east-1a"),
        )
    )["i-1"]
    assert (found["health"], found["reason"], found["state"]) == (
        "unhealthy",
        "Target.Timeout",
        "stopped",
    )


def test_the_experiment_has_its_state_and_its_victims() -> None:
    heard = scene(
        ("elb", "i-1", "healthy", ""),
        ("elb", "i-2", "healthy", ""),
        ("fis", "EXP1", "running", "it runs"),
        ("fis", "EXP1", "target_resolved", "i-2"),
    )
    experiment = heard.as_dict()["experiment"]
    assert experiment == {"id": "EXP1", "state": "running", "reason": "it runs", "victims": ["i-2"]}
    assert [each for each, server in servers(heard).items() if server["is_victim"]] == ["i-2"]


def test_what_cannot_be_seen_is_trouble_until_it_can() -> None:
    failed = ("harness", "run", "observe_failed", "no answer")
    assert scene(failed).trouble == "observe failed: no answer"
    assert scene(failed, ("harness", "run", "observe_recovered", "")).trouble == ""


def test_a_call_that_failed_is_no_state_of_the_experiment() -> None:
    heard = scene(("fis", "EXP1", "running", ""), ("fis", "EXP1", "poll_failed", "no answer"))
    assert heard.experiment["state"] == "running"
    assert heard.trouble == "poll failed: no answer"


def test_events_are_told_once_to_who_says_what_they_have() -> None:
    heard = scene(("elb", "i-1", "healthy", ""), ("elb", "i-1", "draining", ""))
    assert [each["event"] for each in heard.events(after=1)] == ["draining"]
    assert heard.events(after=2) == []
