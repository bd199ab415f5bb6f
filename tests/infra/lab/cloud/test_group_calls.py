"""What a user may say to the Auto Scaling group: health, suspended processes, standby."""

from collections.abc import Iterator

import pytest

from infra.lab.cloud.names import GROUP
from tests.infra.lab.cloud.account_without_processes import (
    Account,
    raised,
    refused,
    stays,
    until,
)


@pytest.fixture(scope="module")
def _account() -> Iterator[Account]:
    with raised() as account:
        yield account


@pytest.fixture
def account(_account: Account) -> Account:
    """Whole again, whatever the last test has done."""
    _account.asg.resume_processes(AutoScalingGroupName=GROUP)
    _account.asg.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=2)
    until(_account.is_whole)
    return _account


def suspend(account: Account, *processes: str) -> None:
    account.asg.suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=list(processes))


def call_unhealthy(account: Account, instance: str, **parameters: bool) -> None:
    account.asg.set_instance_health(InstanceId=instance, HealthStatus="Unhealthy", **parameters)


def test_whom_a_user_calls_unhealthy_is_replaced(account: Account) -> None:
    victim = next(iter(account.members()))
    call_unhealthy(account, victim)
    assert account.members()[victim][1] == "Unhealthy"
    until(lambda: victim not in account.members() and account.is_whole())
    assert "in response to a user health-check" in account.causes()


def test_a_members_state_is_told_until_it_is_terminated(account: Account) -> None:
    victim = next(iter(account.members()))
    call_unhealthy(account, victim)
    until(lambda: account.members()[victim] == ("Terminating", "Unhealthy"))
    assert account.state(victim) == "shutting-down"
    until(account.is_whole)


def test_an_unknown_instance_and_an_unknown_health_are_refused(account: Account) -> None:
    set_health = account.asg.set_instance_health
    assert refused(set_health, InstanceId="i-1", HealthStatus="Unhealthy")[0] == "ValidationError"
    member = next(iter(account.members()))
    assert refused(set_health, InstanceId=member, HealthStatus="Ill")[0] == "ValidationError"


@pytest.mark.parametrize("process", ["ReplaceUnhealthy", "Terminate"])
def test_while_it_is_suspended_the_unhealthy_stay(account: Account, process: str) -> None:
    suspend(account, process)
    victim = next(iter(account.members()))
    call_unhealthy(account, victim)
    assert stays(lambda: account.members()[victim] == ("InService", "Unhealthy"), for_s=0.8)
    account.asg.set_instance_health(InstanceId=victim, HealthStatus="Healthy")
    account.asg.resume_processes(AutoScalingGroupName=GROUP, ScalingProcesses=[process])
    assert stays(account.is_whole)
    call_unhealthy(account, victim)
    until(lambda: victim not in account.members())


def test_a_terminated_member_is_told_to_be_unhealthy_while_it_may_not_be_replaced(
    account: Account,
) -> None:
    suspend(account, "ReplaceUnhealthy")
    victim = next(iter(account.members()))
    account.ec2.terminate_instances(InstanceIds=[victim])
    until(lambda: account.members()[victim] == ("InService", "Unhealthy"))
    assert stays(lambda: account.members()[victim] == ("InService", "Unhealthy"))
    account.asg.resume_processes(AutoScalingGroupName=GROUP)
    until(lambda: victim not in account.members() and account.is_whole())
    assert "EC2 health check indicating it has been terminated or stopped" in account.causes()


def test_without_health_checks_a_terminated_member_counts_as_healthy(account: Account) -> None:
    suspend(account, "HealthCheck")
    victim = next(iter(account.members()))
    account.ec2.terminate_instances(InstanceIds=[victim])
    assert stays(lambda: account.members()[victim] == ("InService", "Healthy"), for_s=0.8)
    call_unhealthy(account, victim)  # a user's own checks count all the same
    until(lambda: victim not in account.members() and account.is_whole())


def test_without_launch_the_group_does_not_grow_and_without_terminate_not_shrink(
    account: Account,
) -> None:
    suspend(account, "Launch")
    account.asg.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=3)
    assert stays(account.is_whole)
    account.asg.resume_processes(AutoScalingGroupName=GROUP)
    until(lambda: account.is_whole(3))
    suspend(account, "Terminate")
    account.asg.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=2)
    assert stays(lambda: account.is_whole(3))


def test_without_addtoloadbalancer_a_new_server_is_registered_by_hand(account: Account) -> None:
    suspend(account, "AddToLoadBalancer")
    account.asg.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=3)
    until(lambda: [state for state, _ in account.members().values()] == ["InService"] * 3)
    assert stays(lambda: len(account.targets()) == 2)
    new = next(iter(account.members().keys() - account.targets().keys()))
    account.elb.register_targets(TargetGroupArn=account.target_group, Targets=[{"Id": new}])
    until(lambda: account.is_whole(3))


def test_suspended_processes_are_told_and_others_refused(account: Account) -> None:
    suspend(account, "Launch", "AZRebalance")
    told = {each["ProcessName"] for each in account.group()["SuspendedProcesses"]}
    assert told == {"Launch", "AZRebalance"}
    for call in (account.asg.suspend_processes, account.asg.resume_processes):
        for name, processes in ((GROUP, ["Lunch"]), ("other", ["Launch"])):
            parameters = {"AutoScalingGroupName": name, "ScalingProcesses": processes}
            assert refused(call, **parameters) == ("ValidationError", 400)


def test_who_is_in_standby_has_no_requests_and_comes_back(account: Account) -> None:
    account.asg.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=3)
    until(lambda: account.is_whole(3))
    resting = next(iter(account.members()))
    account.asg.enter_standby(
        AutoScalingGroupName=GROUP, InstanceIds=[resting], ShouldDecrementDesiredCapacity=True
    )
    assert account.group()["DesiredCapacity"] == 2
    until(lambda: account.targets()[resting] == "draining")
    until(lambda: resting not in account.targets())
    assert stays(lambda: account.members()[resting] == ("Standby", "Healthy"))
    assert len(account.members()) == 3
    account.asg.exit_standby(AutoScalingGroupName=GROUP, InstanceIds=[resting])
    until(lambda: account.is_whole(3))
    assert "moved to standby in response to a user request" in account.causes()
    assert "moved out of standby" in account.causes()


def test_who_rests_without_a_smaller_group_is_stood_in_for_and_not_health_checked(
    account: Account,
) -> None:
    resting = next(iter(account.members()))
    account.asg.enter_standby(
        AutoScalingGroupName=GROUP, InstanceIds=[resting], ShouldDecrementDesiredCapacity=False
    )
    until(lambda: len(account.members()) == 3)
    account.ec2.stop_instances(InstanceIds=[resting])
    until(lambda: account.state(resting) == "stopped")
    assert stays(lambda: account.members()[resting] == ("Standby", "Healthy"))
    account.ec2.start_instances(InstanceIds=[resting])
    until(lambda: account.state(resting) == "running")
    account.asg.exit_standby(AutoScalingGroupName=GROUP, InstanceIds=[resting])
    until(lambda: account.is_whole(3))


def test_who_is_terminated_in_standby_is_gone(account: Account) -> None:
    resting = next(iter(account.members()))
    account.asg.enter_standby(
        AutoScalingGroupName=GROUP, InstanceIds=[resting], ShouldDecrementDesiredCapacity=False
    )
    account.ec2.terminate_instances(InstanceIds=[resting])
    until(lambda: resting not in account.members() and account.is_whole())


def test_standby_that_cannot_be_is_refused(account: Account) -> None:
    member = next(iter(account.members()))
    enter, exits = account.asg.enter_standby, account.asg.exit_standby
    smaller = {"AutoScalingGroupName": GROUP, "ShouldDecrementDesiredCapacity": True}
    invalid = ("ValidationError", 400)
    assert refused(enter, InstanceIds=[member], **smaller) == invalid  # below the group's least
    assert refused(enter, InstanceIds=["i-1"], **smaller) == invalid
    assert refused(exits, InstanceIds=[member], AutoScalingGroupName=GROUP) == invalid
    assert refused(exits, InstanceIds=[member], AutoScalingGroupName="other") == invalid
    assert stays(account.is_whole)


def test_who_is_protected_from_scaling_in_stays(account: Account) -> None:
    account.asg.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=3)
    until(lambda: account.is_whole(3))
    protected = list(account.members())[:2]

    def protect(is_protected: bool) -> None:
        account.asg.set_instance_protection(
            AutoScalingGroupName=GROUP,
            InstanceIds=list(account.members()),
            ProtectedFromScaleIn=is_protected,
        )

    protect(True)
    account.asg.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=2)
    assert stays(lambda: account.is_whole(3))
    account.asg.set_instance_protection(
        AutoScalingGroupName=GROUP,
        InstanceIds=list(account.members())[2:],
        ProtectedFromScaleIn=False,
    )
    until(account.is_whole)
    assert list(account.members()) == protected
    protect(False)


def test_a_stopping_instance_cannot_be_started(account: Account) -> None:
    victim = next(iter(account.members()))
    account.ec2.stop_instances(InstanceIds=[victim])
    start = account.ec2.start_instances
    assert refused(start, InstanceIds=[victim]) == ("IncorrectInstanceState", 400)
    account.ec2.terminate_instances(InstanceIds=[victim])
    assert refused(start, InstanceIds=[victim]) == ("IncorrectInstanceState", 400)
    until(account.is_whole)


def test_a_stopped_instance_can_be_started(account: Account) -> None:
    suspend(account, "ReplaceUnhealthy")
    victim = next(iter(account.members()))
    account.ec2.stop_instances(InstanceIds=[victim])
    until(lambda: account.state(victim) == "stopped")
    account.ec2.start_instances(InstanceIds=[victim])
    until(lambda: account.state(victim) == "running")
    account.asg.set_instance_health(InstanceId=victim, HealthStatus="Healthy")


def test_it_is_told_in_which_state_an_instance_really_is(account: Account) -> None:
    member = next(iter(account.members()))
    (told,) = account.ec2.start_instances(InstanceIds=[member])["StartingInstances"]
    assert (told["PreviousState"]["Name"], told["CurrentState"]["Name"]) == ("running", "running")
    (told,) = account.ec2.terminate_instances(InstanceIds=[member])["TerminatingInstances"]
    assert told["CurrentState"] == {"Code": 32, "Name": "shutting-down"}
    (told,) = account.ec2.stop_instances(InstanceIds=[member])["StoppingInstances"]
    assert told["CurrentState"]["Name"] in {"shutting-down", "terminated"}


def test_a_detached_server_can_be_attached_again(account: Account) -> None:
    detached = next(iter(account.members()))
    account.asg.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=3)
    until(lambda: account.is_whole(3))
    account.asg.detach_instances(
        AutoScalingGroupName=GROUP, InstanceIds=[detached], ShouldDecrementDesiredCapacity=True
    )
    until(lambda: detached not in account.targets() and account.is_whole())
    assert account.state(detached) == "running"
    account.asg.attach_instances(AutoScalingGroupName=GROUP, InstanceIds=[detached])
    assert account.group()["DesiredCapacity"] == 3
    until(lambda: detached in account.targets() and account.is_whole(3))
