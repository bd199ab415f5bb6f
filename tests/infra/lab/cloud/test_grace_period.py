"""A user's word on an instance's health, while the instance is new."""

from dataclasses import replace

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
