"""What a user may do to the target group: targets come and go, and settings tell what is."""

from collections.abc import Iterator
from typing import Any

import pytest

from infra.lab.cloud.names import GROUP
from tests.infra.lab.cloud.account_without_processes import (
    SETTINGS,
    Account,
    raised,
    refused,
    stays,
    until,
)

DRAINING = "deregistration_delay.timeout_seconds"
INVALID = ("InvalidConfigurationRequest", 400)


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with raised() as account:
        yield account


def targets(account: Account, *instances: str, **more: Any) -> Any:
    each = [{"Id": instance, **more} for instance in instances]
    return {"TargetGroupArn": account.target_group, "Targets": each}


def attributes_of(described: Any) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in described["Attributes"]}


def test_a_deregistered_target_drains_is_gone_and_comes_back(account: Account) -> None:
    victim = next(iter(account.targets()))
    account.elb.deregister_targets(**targets(account, victim))
    assert account.targets()[victim] == "draining"
    assert len(account.health.registered()) == 1
    until(lambda: victim not in account.targets())
    assert stays(lambda: len(account.targets()) == 1)
    assert account.members()[victim] == ("InService", "Healthy")
    account.elb.register_targets(**targets(account, victim))
    until(account.is_whole)


def test_a_target_that_drains_may_be_registered_again_and_one_that_does_not_too(
    account: Account,
) -> None:
    victim = next(iter(account.targets()))
    account.elb.deregister_targets(**targets(account, victim))
    account.elb.register_targets(**targets(account, victim))
    until(account.is_whole)
    account.elb.register_targets(**targets(account, victim))
    assert account.is_whole()


def test_of_a_target_that_is_not_registered_deregistering_says_nothing(account: Account) -> None:
    account.elb.deregister_targets(**targets(account, "i-1"))
    assert account.is_whole()


def test_only_servers_that_run_can_be_registered_and_on_their_own_port(account: Account) -> None:
    register, invalid = account.elb.register_targets, ("InvalidTarget", 400)
    mine = account.ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)
    assert refused(register, **targets(account, mine["Instances"][0]["InstanceId"])) == invalid
    member = next(iter(account.members()))
    assert refused(register, **targets(account, member, Port=1)) == invalid
    group = account.elb.describe_target_groups()["TargetGroups"][0]
    account.elb.register_targets(**targets(account, member, Port=group["Port"]))
    account.asg.suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=["Terminate"])
    account.ec2.stop_instances(InstanceIds=[member])
    assert refused(register, **targets(account, member)) == invalid
    account.asg.resume_processes(AutoScalingGroupName=GROUP)
    account.ec2.terminate_instances(InstanceIds=[member])
    until(lambda: member not in account.members() and account.is_whole())


def test_a_detached_server_may_be_registered_until_it_is_terminated(account: Account) -> None:
    detached = next(iter(account.members()))
    account.asg.detach_instances(
        AutoScalingGroupName=GROUP, InstanceIds=[detached], ShouldDecrementDesiredCapacity=False
    )
    until(lambda: detached not in account.targets() and account.is_whole())
    account.elb.register_targets(**targets(account, detached))
    assert stays(lambda: account.targets().get(detached) != "draining")
    assert account.targets()[detached] == "healthy"
    account.ec2.terminate_instances(InstanceIds=[detached])
    until(lambda: detached not in account.targets() and account.is_whole())


def test_an_unknown_target_group_is_refused(account: Account) -> None:
    arn = account.target_group[:-1] + "x"
    for call in (account.elb.register_targets, account.elb.deregister_targets):
        wanted = {"TargetGroupArn": arn, "Targets": [{"Id": "i-1"}]}
        assert refused(call, **wanted) == ("TargetGroupNotFound", 400)


def test_a_target_group_of_ones_own_has_none_of_the_labs_servers(account: Account) -> None:
    vpc = account.ec2.describe_vpcs()["Vpcs"][-1]["VpcId"]
    mine = account.elb.create_target_group(Name="mine", Protocol="HTTP", Port=80, VpcId=vpc)
    arn = mine["TargetGroups"][0]["TargetGroupArn"]
    assert account.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"] == []
    account.elb.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/mine")
    account.elb.delete_target_group(TargetGroupArn=arn)


def test_attributes_tell_what_is(account: Account) -> None:
    described = account.elb.describe_target_group_attributes(TargetGroupArn=account.target_group)
    assert attributes_of(described)[DRAINING] == f"{SETTINGS.deregistration_delay_s:g}"
    described = account.elb.describe_load_balancer_attributes(LoadBalancerArn=account.load_balancer)
    assert attributes_of(described)["load_balancing.cross_zone.enabled"] == "true"
    assert attributes_of(described)["idle_timeout.timeout_seconds"] == "60"


def test_the_time_to_drain_can_be_set_and_no_other_attribute(account: Account) -> None:
    def set_attribute(key: str, value: str) -> Any:
        return {
            "TargetGroupArn": account.target_group,
            "Attributes": [{"Key": key, "Value": value}],
        }

    modify = account.elb.modify_target_group_attributes
    modify(**set_attribute(DRAINING, "600"))
    described = account.elb.describe_target_group_attributes(TargetGroupArn=account.target_group)
    assert attributes_of(described)[DRAINING] == "600"
    victim = next(iter(account.targets()))
    account.elb.deregister_targets(**targets(account, victim))
    assert stays(lambda: account.targets().get(victim) == "draining", for_s=1.5)
    modify(**set_attribute(DRAINING, "1"))
    until(lambda: victim not in account.targets())
    account.elb.register_targets(**targets(account, victim))
    modify(**set_attribute("stickiness.enabled", "false"))  # as it is
    for key, value in (
        ("stickiness.enabled", "true"),
        ("slow_start.duration_seconds", "30"),
        ("load_balancing.algorithm.type", "least_outstanding_requests"),
        ("target_group_health.dns_failover.minimum_healthy_targets.count", "2"),
    ):
        assert refused(modify, **set_attribute(key, value)) == INVALID
    until(account.is_whole)


def test_the_load_balancers_attributes_stay(account: Account) -> None:
    def set_attribute(key: str, value: str) -> Any:
        return {
            "LoadBalancerArn": account.load_balancer,
            "Attributes": [{"Key": key, "Value": value}],
        }

    modify = account.elb.modify_load_balancer_attributes
    modify(**set_attribute("idle_timeout.timeout_seconds", "60"))
    modify(**set_attribute("deletion_protection.enabled", "true"))
    for key, value in (
        ("idle_timeout.timeout_seconds", "5"),
        ("load_balancing.cross_zone.enabled", "false"),
        ("access_logs.s3.bucket", "mine"),
    ):
        assert refused(modify, **set_attribute(key, value)) == INVALID


def test_health_checks_stay_as_they_are(account: Account) -> None:
    arn, modify = account.target_group, account.elb.modify_target_group
    group = account.elb.describe_target_groups()["TargetGroups"][0]
    same = {
        name: group[name]
        for name in (
            *("HealthCheckProtocol", "HealthCheckPath", "HealthCheckPort", "HealthCheckEnabled"),
            *("HealthyThresholdCount", "UnhealthyThresholdCount", "Matcher"),
        )
    }
    modify(TargetGroupArn=arn, **same)
    for name, value in (
        ("HealthCheckPath", "/ready"),
        ("HealthCheckIntervalSeconds", 30),
        ("HealthCheckEnabled", False),
        ("UnhealthyThresholdCount", 9),
        ("Matcher", {"HttpCode": "200-299"}),
    ):
        assert refused(modify, TargetGroupArn=arn, **{name: value}) == INVALID
    assert account.elb.describe_target_groups()["TargetGroups"][0] == group
