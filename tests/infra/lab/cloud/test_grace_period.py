"""Which health checks count, and from when on: the grace period, and the group's type of checks."""

from dataclasses import replace
from typing import Any

from infra.lab.cloud.names import GROUP
from tests.infra.lab.cloud.account_without_processes import SETTINGS, raised, stays, until


def test_a_users_word_waits_for_the_end_of_the_grace_period_unless_told_otherwise() -> None:
    with raised(replace(SETTINGS, health_check_grace_s=60)) as account:
        new = next(iter(account.members()))
        account.asg.set_instance_health(InstanceId=new, HealthStatus="Unhealthy")
        assert stays(lambda: account.members()[new] == ("InService", "Unhealthy"))
        account.asg.set_instance_health(
            InstanceId=new, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
        )
        until(lambda: new not in account.members())


def test_the_grace_period_and_the_type_of_health_checks_can_be_changed() -> None:
    def update(**changes: Any) -> None:
        account.asg.update_auto_scaling_group(AutoScalingGroupName=GROUP, **changes)

    with raised(replace(SETTINGS, health_check_grace_s=0)) as account:
        assert account.group()["HealthCheckGracePeriod"] == 0
        victim, other = account.members()
        update(HealthCheckGracePeriod=60)
        account.failing.add(victim)
        assert stays(lambda: account.members()[victim] == ("InService", "Healthy"))
        assert account.targets()[victim] == "unhealthy"
        update(HealthCheckGracePeriod=1)
        until(lambda: victim not in account.members())
        update(HealthCheckType="EC2")
        account.failing.add(other)
        until(lambda: account.targets()[other] == "unhealthy")
        assert stays(lambda: account.members()[other] == ("InService", "Healthy"), for_s=1.5)
        update(HealthCheckType="ELB")
        until(lambda: other not in account.members() and account.is_whole())
        assert "in response to an ELB system health check failure" in account.causes()
