"""infra/aws, planned, applied and destroyed by Terraform itself, with a stand-in for AWS."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.aws.configuration.provider_schema import CONFIGURATION, SCHEMA, used_types
from tests.infra.aws.configuration.terraform import Terraform, terraform
from tests.infra.aws.configuration.user_data import user_data

ROOT = CONFIGURATION.parents[1]
MODULES = (CONFIGURATION, CONFIGURATION / "bucket", CONFIGURATION / "fleet")


@pytest.fixture(scope="module")
def tf() -> Iterator[Terraform]:
    with terraform() as program:
        yield program


def test_files_are_formatted_as_terraform_does(tf: Terraform) -> None:
    answer = tf.run("fmt", "-check", "-recursive")
    assert (answer.code, answer.out) == (0, "")
    (tf.folder / "ugly.tf").write_text('locals {\n a = 1\n  bcd = "x"\n}\n')
    try:
        assert tf.run("fmt", "-check", "-recursive").code == 3
    finally:
        (tf.folder / "ugly.tf").unlink()


def test_configuration_is_valid_and_says_so_without_a_warning(tf: Terraform) -> None:
    answer = tf.run("validate", "-json")
    found = json.loads(answer.out)
    assert (found["valid"], found["diagnostics"]) == (True, [])


# By what Terraform looks for at once: it reports all of that, and looks for the rest no more.
SLIPS = [
    [
        ("alb.tf", "idle_timeout = 60", "idle_timeouts = 60", '"idle_timeouts" is not expected'),
        ("alb.tf", "health_check {", "health_checks {", '"health_checks" are not expected'),
    ],
    [
        ("fis.tf", "aws_iam_role.fis.arn", "aws_iam_role.fiz.arn", "has not been declared"),
        ("alb.tf", '"aws_lb_listener" "http"', '"aws_lb_listner" "http"', '"aws_lb_listner"'),
    ],
    [
        ("alb.tf", "interval            = 10", 'interval = "often"', "a number is required"),
    ],
    [("fis.tf", 'action_id = "aws:ec2:stop-instances"', "", '"action_id" is required')],
    [("fis.tf", "aws_iam_role.fis.arn", "aws_iam_role.fis.arm", 'named "arm"')],
    [("alb.tf", "matcher             =", "interval =", "already set")],
]


@pytest.mark.parametrize("slips", SLIPS)
def test_slips_of_the_pen_are_invalid(
    tf: Terraform, slips: list[tuple[str, str, str, str]]
) -> None:
    whole = {file: (tf.folder / file).read_text() for file, *_ in slips}
    try:
        for file, old, new, _ in slips:
            text = (tf.folder / file).read_text()
            assert old in text
            (tf.folder / file).write_text(text.replace(old, new, 1))
        answer = tf.run("validate")
    finally:
        for file, text in whole.items():
            (tf.folder / file).write_text(text)
    assert answer.code == 1
    for _, _, _, says in slips:
        assert says in answer.text


REFUSED = {
    "region=here": "region must be a Region's code",
    "account_id=12": "account_id must be twelve digits",
    "name=Chaos_Lab": "name must have 3 to 16",
    "vpc_cidr=10.0.0.0/24": "vpc_cidr must be a /16",
    "instance_type=t4g.micro": "instance_type must be an x86-64 type",
    'aurora_capacity={"min":0,"max":4}': "aurora_capacity must be from 0.5",
    "fleet_workers=2.5": "fleet_workers must be a whole number",
    "log_days=2": "log_days must be one that CloudWatch knows",
}


@pytest.mark.parametrize(
    ("variable", "says", "others"),
    [
        ("allowed_cidrs=[]", "allowed_cidrs must list IPv4 addresses", REFUSED),
        ('allowed_cidrs=["here"]', "allowed_cidrs must list IPv4 addresses", {}),
        ('allowed_cidrs=["0.0.0.0/0"]', "is_open_to_the_world = true if you mean it", {}),
        ('allowed_cidrs=["::/0"]', "allowed_cidrs must list IPv4 addresses", {}),
    ],
)
def test_variables_that_make_no_sense_are_refused_by_name(
    tf: Terraform, variable: str, says: str, others: dict[str, str]
) -> None:
    answer = tf.change("plan", variable, *others)
    assert answer.code == 1
    for each in (says, *others.values()):
        assert each in answer.text


def test_all_of_it_can_be_made_changed_and_taken_away(tf: Terraform) -> None:
    made = tf.change("apply")
    assert made.code == 0, made.err
    resources, outputs = tf.state()
    assert not any("fleet" in each.address for each in resources)
    told = next(each for each in resources if each.type == "aws_launch_template")
    assert base64.b64decode(told.values["user_data"]).decode() == server_data(outputs)
    assert "No changes." in tf.change("plan").out  # nothing differs from itself

    grown = tf.change("apply", "fleet_workers=3", "stops_on_alarms=true")
    assert grown.code == 0, grown.err
    resources, outputs = tf.state()
    assert set(json.loads(tf.run("output", "-json").out)) == set(outputs)
    assert sum(each.type == "aws_instance" for each in resources) == 1 + 1 + 3
    template = next(each for each in resources if each.type == "aws_fis_experiment_template")
    stops = [each["source"] for each in template.values["stop_condition"]]
    assert stops == ["aws:cloudwatch:alarm"] * 3
    assert documented_outputs() == set(outputs) | {"aws_profile"}  # which is null here

    gone = tf.change("destroy", "fleet_workers=3", "stops_on_alarms=true")
    assert gone.code == 0, gone.err
    assert f"Resources: {len(resources)} destroyed" in gone.out


def server_data(outputs: dict[str, Any]) -> str:
    """What tests/infra/aws/test_boot.py boots a server with, for these outputs."""
    key = f"shop-{outputs['shop_sha256']}.tar.gz"
    return user_data(
        archive=f"s3://{outputs['shop_bucket']}/{key}",
        sha256=outputs["shop_sha256"],
        role="shop",
        settings={
            "DB_ENDPOINT": outputs["aurora_endpoint"],
            "DB_PORT": outputs["aurora_port"],
            "DB_NAME": outputs["database_name"],
            "DB_SECRET_ARN": outputs["database_secret_arn"],
            "SHOP_WORKERS": 4,
            "SHOP_STOCK_FACTOR": 100,
        },
    )


def documented_outputs() -> set[str]:
    page = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    table = page.split("## What Terraform tells", 1)[1].split("\n## ", 1)[0]
    return set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_schema_covers_what_is_used_and_is_of_a_version_that_is_allowed() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    covered = {
        (kind, name.removeprefix("aws_")) for kind in ("resource", "data") for name in schema[kind]
    }
    assert covered == used_types(), (
        "write it anew: python -m tests.infra.aws.configuration.provider_schema"
    )
    major, minor, _ = map(int, schema["provider"].rpartition(" ")[2].split("."))
    for module in MODULES:
        text = (module / "versions.tf").read_text(encoding="utf-8")
        assert 'version = ">= 6.60, < 7.0"' in text
    assert (6, 60) <= (major, minor) < (7, 0)
