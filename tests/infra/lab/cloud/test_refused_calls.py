"""Calls that the lab refuses, each with an error that AWS's model of the call names."""

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from infra.lab.cloud.calls.refused import REFUSED
from infra.lab.cloud.names import CLUSTER, GROUP, WRITER
from tests.infra.lab.cloud.account_without_processes import Account, raised, refused


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with raised() as account:
        yield account


def asked(account: Account, service: str, call: str) -> dict[str, Any]:
    """The least that boto3 lets through, on what is the lab's own."""
    listener = account.elb.describe_listeners(LoadBalancerArn=account.load_balancer)["Listeners"][0]
    ours: dict[str, Any] = {
        "AutoScalingGroupName": GROUP,
        "LoadBalancerArn": account.load_balancer,
        "ListenerArn": listener["ListenerArn"],
        "DBClusterIdentifier": CLUSTER,
        "DBInstanceIdentifier": WRITER,
        "SecurityGroups": ["sg-1"],
        "LifecycleHookName": "hook",
        "ScheduledActionName": "nightly",
        "Conditions": [{"Field": "path-pattern", "Values": ["/x"]}],
        "Priority": 1,
        "Actions": listener["DefaultActions"],
    }
    shape = botocore.session.get_session().get_service_model(service).operation_model(call)
    assert shape.input_shape is not None
    return {name: ours[name] for name in shape.input_shape.required_members}


@pytest.mark.parametrize(("service", "call"), REFUSED)
def test_a_call_is_refused_by_a_code_that_aws_names_for_it(
    account: Account, service: str, call: str
) -> None:
    operation = botocore.session.get_session().get_service_model(service).operation_model(call)
    named = {
        error.metadata["error"]["code"]: error.metadata["error"]["httpStatusCode"]
        for error in operation.error_shapes
        if "error" in error.metadata
    }
    client = account.clients(service)
    method = {name: mine for mine, name in client.meta.method_to_api_mapping.items()}[call]
    code, status = refused(getattr(client, method), **asked(account, service, call))
    assert (code, status) == (REFUSED[service, call].code, named[code])


def test_on_what_is_a_users_own_they_are_motos(account: Account) -> None:
    subnets = [each["SubnetId"] for each in account.ec2.describe_subnets()["Subnets"]][-2:]
    mine = account.elb.create_load_balancer(Name="mine", Subnets=subnets)["LoadBalancers"][0]
    account.elb.delete_load_balancer(LoadBalancerArn=mine["LoadBalancerArn"])
    names = [
        each["LoadBalancerName"] for each in account.elb.describe_load_balancers()["LoadBalancers"]
    ]
    assert names == ["chaos-lab-alb"]
