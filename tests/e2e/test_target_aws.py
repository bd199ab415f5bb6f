"""`make chaos-load TARGET=aws`, whole, with the lab in place of Amazon's servers.

And what keeps a fault from happening, where one would really happen.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.e2e.test_experiment import Evidence

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of somebody who has an account with the lab in it."""
    folder = tmp_path_factory.mktemp("aws")
    lab = [sys.executable, "-m", "infra.lab"]
    where = ["--folder", str(folder / "lab")]
    environment = {**os.environ, "LAB_PROFILE": "fast", "LAB_SHOP_WORKERS": "1"}
    subprocess.run([*lab, "up", *where], cwd=ROOT, env=environment, check=True, timeout=120)
    try:
        printed = subprocess.run(
            [*lab, "outputs", *where], cwd=ROOT, check=True, capture_output=True, timeout=60
        ).stdout
        (folder / "outputs.json").write_bytes(printed)
        state = json.loads((folder / "lab" / "state.json").read_text("utf-8"))
        yield {
            **os.environ,
            "TARGET": "aws",
            "AWS_OUTPUTS": str(folder / "outputs.json"),
            "AWS_ENDPOINT_URL": state["aws_endpoint"],
            "AWS_ACCESS_KEY_ID": "lab",
            "AWS_SECRET_ACCESS_KEY": "lab",
            "USERS": "6",
            "SPAWN_RATE": "6",
            "RUN_TIME": "5m",  # each is ended before
            "LOCUST_ARGS": "--fis-at 3s --connect-timeout 1 --total-timeout 2 --stop-timeout 4s"
            " --poll-every 1",
        }
    finally:
        subprocess.run([*lab, "down", *where], cwd=ROOT, check=True, timeout=60)


def chaos_load(
    environment: dict[str, str],
    run_dir: Path,
    *,
    is_enough: Callable[[Evidence], bool] = lambda _: False,
) -> tuple[int, str]:
    """Run to the end, which comes when its events show enough; the exit code and what was said."""
    evidence = Evidence(path=run_dir)
    with (
        run_dir.with_suffix(".log").open("w+", encoding="utf-8") as log,
        subprocess.Popen(
            [sys.executable, "-m", "infra.launch", "headless"],
            cwd=ROOT,
            env={**environment, "RUN_DIR": str(run_dir)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        deadline = time.monotonic() + 150
        while process.poll() is None:
            if (run_dir / "events.csv").exists() and is_enough(evidence):
                process.terminate()
                process.wait(150)
            if time.monotonic() > deadline:
                process.terminate()
            time.sleep(0.1)
        log.seek(0)
        printed = log.read()
    print(printed)
    return process.returncode, printed


def test_nothing_is_sent_before_it_is_said_that_this_is_meant(
    aws: dict[str, str], tmp_path: Path
) -> None:
    code, printed = chaos_load(aws, tmp_path / "run")
    assert code == 64
    assert "account 123456789012, us-east-1" in printed
    assert "YES=1 says that this is meant" in printed
    assert not (tmp_path / "run").exists()


def test_an_experiment_that_is_not_there_is_refused(aws: dict[str, str], tmp_path: Path) -> None:
    outputs: dict[str, Any] = json.loads(Path(aws["AWS_OUTPUTS"]).read_text("utf-8"))
    outputs["account_id"]["value"] = "999999999999"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(outputs), encoding="utf-8")
    code, printed = chaos_load({**aws, "YES": "1", "AWS_OUTPUTS": str(other)}, tmp_path / "run")
    assert code == 64
    assert "AWS_PROFILE names another profile" in printed
    assert not (tmp_path / "run").exists()


def fis(aws: dict[str, str]) -> Any:
    return boto3.client(
        "fis",
        endpoint_url=aws["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="lab",
        aws_secret_access_key="lab",
    )


def short(aws: dict[str, str], *arguments: str) -> dict[str, str]:
    words = f"{aws['LOCUST_ARGS']} {' '.join(arguments)}"
    return {**aws, "YES": "1", "USERS": "4", "LOCUST_ARGS": words}


def template(client: Any, name: str, actions: dict[str, Any], **tags: str) -> str:
    """A new one whose target is all servers that have these tags besides the one they all have."""
    made = client.create_experiment_template(
        clientToken=name,
        description=name,
        roleArn="arn:aws:iam::123456789012:role/fis",
        stopConditions=[{"source": "none"}],
        targets={
            "servers": {
                "resourceType": "aws:ec2:instance",
                "resourceTags": {"ChaosTarget": "true", **tags},
                "selectionMode": "ALL",
            }
        },
        actions=actions,
        tags={"Name": name},
    )
    return str(made["experimentTemplate"]["id"])


STOP = {"actionId": "aws:ec2:stop-instances", "targets": {"Instances": "servers"}}
WAIT = {"actionId": "aws:fis:wait", "parameters": {"duration": "PT5M"}}


def test_what_must_not_happen_harms_nobody_and_the_load_goes_on(
    aws: dict[str, str], tmp_path: Path
) -> None:
    client = fis(aws)
    everybody = template(client, "everybody", {"stop": STOP})
    nobody = template(client, "nobody", {"stop": STOP}, Nobody="has it")
    # Holds the servers, and does nothing to them for as long as the test lasts.
    theirs = template(client, "theirs", {"wait": WAIT, "stop": {**STOP, "startAfter": ["wait"]}})
    other = client.start_experiment(clientToken="one", experimentTemplateId=theirs)
    name = other["experiment"]["id"]
    asked = f"--fis-template=stop-one-server@1s,{everybody}@1s,{nobody}@1s --guard-off baseline"
    try:
        code, printed = chaos_load(
            short(aws, asked),
            tmp_path / "run",
            is_enough=lambda run: (
                run.events("harness").count("fis_refused") == 2
                and "failed" in run.events("fis")
                and run.told() > 0
            ),
        )
        # It is not ours, so it is let be.
        assert client.get_experiment(id=name)["experiment"]["state"]["status"] == "running"
    finally:
        client.stop_experiment(id=name)
        while client.get_experiment(id=name)["experiment"]["state"]["status"] != "stopped":
            time.sleep(0.1)
    evidence = Evidence(path=tmp_path / "run")
    assert code == evidence.summary["exit_code"] == 2, printed
    assert [each["happened"] for each in evidence.summary["faults"]] == [False] * 3
    refused = " ".join(
        each["detail"] for each in evidence.table("events") if each["event"] == "fis_refused"
    )
    assert "of which 0 would be left; needs --min-healthy 1" in refused
    assert f"another experiment, {name}, is running on i-" in refused
    assert evidence.events("fis") == ["pending", "failed"]
    (why,) = {each["detail"] for each in evidence.table("events") if each["event"] == "failed"}
    assert "Target resolution returned empty set" in why
    assert {"stopping", "stopped"}.isdisjoint(evidence.events("ec2"))
    assert evidence.summary["orders"]["confirmed"] > 0


def test_an_engaged_safety_lever_keeps_the_servers_and_the_run_says_so(
    aws: dict[str, str], tmp_path: Path
) -> None:
    client = fis(aws)
    lever = client.get_safety_lever(id="default")["safetyLever"]["id"]
    client.update_safety_lever_state(id=lever, state={"status": "engaged", "reason": "a test"})
    try:
        code, printed = chaos_load(
            short(aws),
            tmp_path / "run",
            is_enough=lambda run: "cancelled" in run.events("fis"),
        )
    finally:
        client.update_safety_lever_state(
            id=lever, state={"status": "disengaged", "reason": "it is over"}
        )
    evidence = Evidence(path=tmp_path / "run")
    assert code == evidence.summary["exit_code"] == 2, printed
    assert evidence.events("fis")[-1] == "cancelled"
    (fault,) = evidence.summary["faults"]
    assert fault["happened"] is False
    assert "the safety lever is engaged" in fault["why_not"]
    assert evidence.summary["fault"]["started_at"] is None
    undecided = {
        each["id"] for each in evidence.summary["hypotheses"] if each["verdict"] == "undecided"
    }
    assert "replacement-comes" in undecided
    assert "stopping" not in evidence.events("ec2")


def test_a_run_reads_its_database_by_the_data_api_ends_when_it_is_to_and_is_judged(
    aws: dict[str, str], tmp_path: Path
) -> None:
    environment = {**aws, "YES": "1", "USERS": "12", "SPAWN_RATE": "12"}
    environment["LOCUST_ARGS"] += " --abort-if 'healthy_targets < 2 for 1s'"
    code, printed = chaos_load(environment, tmp_path / "run")
    evidence = Evidence(path=tmp_path / "run")
    assert code == 0, printed
    assert evidence.summary["verdict"] == "held"
    assert evidence.summary["orders"]["rows"] > 0
    assert evidence.summary["fault"]["experiment_id"].startswith("EXP")
    assert evidence.run["target"] == "aws"
    assert evidence.run["settings"]["database"] == "rds-data://us-east-1/shop"
    assert evidence.run["interrupted"] is True
    assert "run_aborted" in evidence.events("harness")
    assert evidence.events("fis")[-1] in {"stopped", "completed"}
    assert "s3://chaos-lab-access-log/alb" in printed
