"""What a run on AWS makes of Terraform's outputs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from analysis.database.data_api import Place
from infra.aws.errors import AwsError
from infra.aws.stack import NoStack, Stack
from infra.aws.tunnel import NoTunnel, hold_tunnel, tunnel_command

VALUES: dict[str, Any] = {
    "region": "eu-west-1",
    "account_id": "210987654321",
    "name": "chaos-lab",
    "alb_dns_name": "chaos-lab-alb-1.eu-west-1.elb.amazonaws.com",
    "target_group_arn": "arn:aws:elasticloadbalancing:eu-west-1:210987654321:targetgroup/t/1",
    "asg_name": "chaos-lab-asg",
    "fis_experiment_template_id": "EXT1",
    "target_tags": {"Project": "chaos-lab", "ChaosTarget": "true"},
    "aurora_endpoint": "chaos-lab.cluster-x.eu-west-1.rds.amazonaws.com",
    "aurora_port": 5432,
    "aurora_cluster_arn": "arn:aws:rds:eu-west-1:210987654321:cluster:chaos-lab",
    "database_secret_arn": "arn:aws:secretsmanager:eu-west-1:210987654321:secret:rds!c-1-AbC",
    "database_name": "shop",
    "access_log_bucket": "chaos-lab-log",
    "access_log_prefix": "alb",
    "tunnel_instance_id": "i-0123456789abcdef0",
}


def outputs(**changed: Any) -> str:
    """As Terraform prints them; None leaves one out."""
    values = {**VALUES, **changed}
    return json.dumps(
        {
            name: {"sensitive": False, "type": "string", "value": value}
            for name, value in values.items()
            if value is not None
        }
    )


def parse(**changed: Any) -> Stack:
    return Stack.parse(outputs(**changed), source="here")


def test_all_that_a_run_needs_comes_from_the_outputs() -> None:
    stack = parse()
    assert stack.host == "http://chaos-lab-alb-1.eu-west-1.elb.amazonaws.com"
    assert stack.access_log_uri == "s3://chaos-lab-log/alb"
    words = " ".join(stack.arguments())
    assert "--expect-account 210987654321" in words
    assert "--guard-tag ChaosTarget=true" in words
    assert VALUES["target_group_arn"] in words


def test_the_databases_url_names_cluster_and_secret_and_holds_no_password() -> None:
    place = Place.parse(parse().database_url)
    assert place.cluster == VALUES["aurora_cluster_arn"]
    assert place.secret == VALUES["database_secret_arn"]
    assert (place.region, place.database) == ("eu-west-1", "shop")


def test_what_the_user_has_set_goes_first_but_the_region_is_the_labs() -> None:
    stack = parse(aws_profile="made-it")
    assert stack.environment({})["AWS_PROFILE"] == "made-it"
    mine = {
        "DATABASE_URL": "postgresql://tunnel",
        "AWS_PROFILE": "mine",
        "AWS_REGION": "us-east-1",
    }
    assert stack.environment(mine) == {
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    assert "AWS_PROFILE" not in stack.environment({"AWS_ACCESS_KEY_ID": "k"})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not what `terraform output -json` prints"),
        ("[]", "not what `terraform output -json` prints"),
        ("{}", "lacks region, account_id, alb_dns_name"),
        (outputs(aurora_cluster_arn=None), "lacks aurora_cluster_arn: has `make aws-up`"),
        (outputs(alb_dns_name=7), "lacks alb_dns_name"),
        (outputs(target_tags={"Project": "x"}), "target_tags lacks ChaosTarget"),
    ],
)
def test_what_the_outputs_lack_is_named(text: str, complaint: str) -> None:
    with pytest.raises(NoStack, match=complaint):
        Stack.parse(text, source="outputs.json")


def test_outputs_may_come_from_a_file(tmp_path: Path) -> None:
    kept = tmp_path / "outputs.json"
    with pytest.raises(NoStack, match="cannot be read"):
        Stack.read({"AWS_OUTPUTS": str(kept)})
    kept.write_text(outputs(), encoding="utf-8")
    assert Stack.read({"AWS_OUTPUTS": str(kept)}) == parse()


def test_terraforms_own_complaint_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "terraform"
    program.write_text("#!/bin/sh\necho 'Error: state is\n locked' >&2\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(NoStack, match="failed: Error: state is locked"):
        Stack.read(dict(os.environ))


def test_without_terraform_it_is_said_where_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(AwsError, match="neither terraform nor tofu is installed"):
        Stack.read({})


def test_before_anything_is_made_it_is_said_to_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "terraform"
    program.write_text("#!/bin/sh\necho '{}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(NoStack, match="nothing in infra/aws yet: run `make aws-up` first"):
        Stack.read(dict(os.environ))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(AwsError, match="run `make aws-up` first: neither terraform nor tofu"):
        Stack.read({})


def test_the_tunnel_goes_to_the_database_through_its_instance() -> None:
    command = tunnel_command(parse())
    assert command[:3] == ["aws", "ssm", "start-session"]
    assert command[command.index("--target") + 1] == VALUES["tunnel_instance_id"]
    asked = json.loads(command[command.index("--parameters") + 1])
    assert asked["host"] == [VALUES["aurora_endpoint"]]
    assert asked["portNumber"] == ["5432"]
    with pytest.raises(NoTunnel, match="TF_VAR_has_tunnel=true"):
        tunnel_command(parse(tunnel_instance_id=None))


def test_a_tunnel_is_held_by_the_cli_and_says_how_to_go_through(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoTunnel, match="aws is not installed"):
        hold_tunnel(parse(), {"PATH": str(tmp_path)})
    for name in ("aws", "session-manager-plugin"):
        program = tmp_path / name
        program.write_text('#!/bin/sh\necho "$AWS_REGION $*"\n', encoding="utf-8")
        program.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    environment = {"PATH": path}
    before = os.environ["PATH"]
    os.environ["PATH"] = path
    try:
        assert hold_tunnel(parse(), environment) == 0
    finally:
        os.environ["PATH"] = before
    printed = capfd.readouterr().out
    assert "eu-west-1 ssm start-session" in printed
    assert "127.0.0.1:15432/shop?sslmode=require" in printed
