"""The hook's guards where a fault would really happen: in the lab, read from the evidence."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.test_experiment import Evidence
from tests.e2e.test_target_aws import aws, chaos_load, fis, short

__all__ = ["aws"]

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def refusal(evidence: Evidence) -> str:
    (why,) = [each["detail"] for each in evidence.table("events") if each["event"] == "fis_refused"]
    return why


def assert_nobody_was_harmed(evidence: Evidence) -> None:
    assert evidence.events("fis") == []
    assert {"stopping", "stopped"}.isdisjoint(evidence.events("ec2"))
    assert evidence.summary["verdict"] == "undecided"
    assert [each["happened"] for each in evidence.summary["faults"]] == [False]
    assert evidence.summary["fault"]["started_at"] is None


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--guard-tag", "Team=none"), "has no tag Team=none"),
        (("--expect-account", "999999999999"), "--expect-account is 999999999999"),
    ],
)
def test_what_no_waiting_mends_ends_the_run_before_any_load(
    aws: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], why: str
) -> None:
    code, printed = chaos_load(short(aws, *arguments), tmp_path / "run")
    assert code == 64
    assert why in printed
    evidence = Evidence(path=tmp_path / "run")
    assert why in refusal(evidence)
    assert evidence.events("fis") == []
    assert not (tmp_path / "run" / "locust_stats.csv").exists()


def test_too_few_healthy_refuse_and_the_load_goes_on(aws: dict[str, str], tmp_path: Path) -> None:
    code, printed = chaos_load(short(aws, "--min-healthy", "2"), tmp_path / "run")
    evidence = Evidence(path=tmp_path / "run")
    assert code == 2, printed
    assert "of which 1 would be left; needs --min-healthy 2" in refusal(evidence)
    assert evidence.summary["orders"]["confirmed"] > 0
    assert_nobody_was_harmed(evidence)


def test_somebody_elses_experiment_on_the_same_servers_refuses(
    aws: dict[str, str], tmp_path: Path
) -> None:
    client = fis(aws)
    template = client.create_experiment_template(
        clientToken="somebody-elses",
        description="holds the servers and does nothing to them",
        roleArn="arn:aws:iam::123456789012:role/fis",
        stopConditions=[{"source": "none"}],
        targets={
            "all": {
                "resourceType": "aws:ec2:instance",
                "resourceTags": {"ChaosTarget": "true"},
                "selectionMode": "ALL",
            }
        },
        actions={
            "wait": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT5M"}},
            "reboot": {
                "actionId": "aws:ec2:reboot-instances",
                "targets": {"Instances": "all"},
                "startAfter": ["wait"],
            },
        },
        tags={"Name": "somebody-elses"},
    )["experimentTemplate"]["id"]
    experiment = client.start_experiment(clientToken="one", experimentTemplateId=template)
    name = experiment["experiment"]["id"]
    try:
        code, printed = chaos_load(short(aws), tmp_path / "run")
        evidence = Evidence(path=tmp_path / "run")
        assert code == 2, printed
        assert f"another experiment, {name}, is running on i-" in refusal(evidence)
        assert_nobody_was_harmed(evidence)
        state = client.get_experiment(id=name)["experiment"]["state"]["status"]
        assert state == "running"  # it is not ours, so it is let be
    finally:
        client.stop_experiment(id=name)
        while client.get_experiment(id=name)["experiment"]["state"]["status"] != "stopped":
            time.sleep(0.1)


def test_a_condition_of_ones_own_stops_the_experiment_at_once(
    aws: dict[str, str], tmp_path: Path
) -> None:
    environment = {**aws, "YES": "1", "RUN_TIME": "40s"}
    environment["LOCUST_ARGS"] += " --abort-if 'healthy_targets < 2 for 1s'"
    code, printed = chaos_load(environment, tmp_path / "run")
    evidence = Evidence(path=tmp_path / "run")
    assert code in {0, 2}, printed
    assert evidence.summary["verdict"] != "broken"
    assert evidence.run["interrupted"] is True
    assert "run_aborted" in evidence.events("harness")
    assert evidence.events("fis")[-1] in {"stopped", "completed"}
