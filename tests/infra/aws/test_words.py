"""Words that the stand-in takes and AWS might not: actions of IAM, and values from a list.

botocore knows them. And the policy of a run allows each call that is in our code.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel

from tests.infra.aws.configuration.guardrails import Lab
from tests.infra.aws.configuration.provider_schema import CONFIGURATION
from tests.infra.aws.configuration.terraform import terraform

ROOT = CONFIGURATION.parents[1]
# IAM's name of a service -> botocore's, where they differ
SERVICES = {"elasticloadbalancing": "elbv2"}
# Actions that are no operation of their own.
NO_OPERATION = {"s3:ListBucket", "logs:CreateLogDelivery"}
# (service, shape, type of resource, path of the value in it)
VALUES = [
    ("fis", "EmptyTargetResolutionMode", "fis_experiment_template", "empty_target_resolution_mode"),
    ("fis", "AccountTargeting", "fis_experiment_template", "account_targeting"),
    ("cloudwatch", "ComparisonOperator", "cloudwatch_metric_alarm", "comparison_operator"),
    ("cloudwatch", "Statistic", "cloudwatch_metric_alarm", "statistic"),
    ("elbv2", "ProtocolEnum", "lb_target_group", "protocol"),
    ("elbv2", "TargetTypeEnum", "lb_target_group", "target_type"),
    ("ec2", "InstanceType", "launch_template", "instance_type"),
    ("ec2", "InstanceType", "instance", "instance_type"),
    ("ec2", "HttpTokensState", "instance", "http_tokens"),
    ("ec2", "VolumeType", "launch_template", "volume_type"),
    ("ec2", "VpcEndpointType", "vpc_endpoint", "vpc_endpoint_type"),
    (
        "s3",
        "ServerSideEncryption",
        "s3_bucket_server_side_encryption_configuration",
        "sse_algorithm",
    ),
]


@pytest.fixture(scope="module")
def lab() -> Lab:
    with terraform() as program:
        answer = program.change("apply", "fleet_workers=1")
        assert answer.code == 0, answer.err
        resources, outputs = program.state()
    return Lab(resources=resources, outputs=outputs)


@cache
def service(name: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def actions(lab: Lab, address: str | None = None) -> set[str]:
    return {
        action
        for each, statement in lab.policies()
        if address in {None, each.address}
        for action in [statement["Action"], *statement["Action"]]
        if isinstance(action, str) and ":" in action
    }


def test_actions_are_ones_that_aws_has(lab: Lab) -> None:
    for action in actions(lab) - NO_OPERATION:
        prefix, _, name = action.partition(":")
        assert name in service(SERVICES.get(prefix, prefix)).operation_names, action


@pytest.mark.parametrize(("where", "shape", "kind", "name"), VALUES)
def test_values_are_ones_that_aws_knows(
    lab: Lab, where: str, shape: str, kind: str, name: str
) -> None:
    known = service(where).shape_for(shape).metadata["enum"]
    found = [value for each in lab.of(kind) for value in values_of(each.values, name)]
    assert found
    assert set(found) <= set(known)


def values_of(tree: Any, name: str) -> Iterator[str]:
    """What stands at `name`, however deep."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == name and isinstance(value, str):
                yield value
            else:
                yield from values_of(value, name)
    elif isinstance(tree, list):
        for each in tree:
            yield from values_of(each, name)


def test_policy_of_a_run_allows_each_call_of_ours(lab: Lab) -> None:
    allowed = actions(lab, "aws_iam_policy.run")
    prefixes = {action.partition(":")[0] for action in allowed} - {"s3", "iam"}
    operations = {
        xform_name(name): f"{prefix}:{name}"
        for prefix in sorted(prefixes)
        for name in service(SERVICES.get(prefix, prefix)).operation_names
    }
    called = 0
    for folder in ("harness", "analysis", "infra/aws"):
        for module in (ROOT / folder).rglob("*.py"):
            text = module.read_text(encoding="utf-8")
            for name in re.findall(r'[."](\w+)(?:\(|")', text):
                if name in operations:
                    called += 1
                    assert operations[name] in allowed, f"{module.name} calls {operations[name]}"
    assert called > 10
