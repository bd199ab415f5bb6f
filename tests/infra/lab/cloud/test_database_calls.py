"""RDS's calls: the lab's cluster fails over and reboots, and tells how it is meanwhile."""

from collections.abc import Iterator
from typing import Any

import pytest

from infra.lab.cloud.names import CLUSTER, WRITER
from infra.lab.database.data_api import CLUSTER_ARN
from tests.infra.lab.cloud.account_without_processes import (
    DATABASE_PORT,
    Account,
    raised,
    refused,
    until,
)


@pytest.fixture(scope="module")
def _account() -> Iterator[Account]:
    with raised() as account:
        yield account


@pytest.fixture
def account(_account: Account) -> Account:
    until(lambda: states(_account) == ("available", "available"))
    return _account


def cluster(account: Account) -> Any:
    return account.rds.describe_db_clusters(DBClusterIdentifier=CLUSTER)["DBClusters"][0]


def writer(account: Account) -> Any:
    return account.rds.describe_db_instances(DBInstanceIdentifier=WRITER)["DBInstances"][0]


def states(account: Account) -> tuple[str, str]:
    return cluster(account)["Status"], writer(account)["DBInstanceStatus"]


@pytest.mark.parametrize("name", [CLUSTER, CLUSTER_ARN])
def test_a_cluster_fails_over_and_tells_so(account: Account, name: str) -> None:
    said = account.rds.failover_db_cluster(DBClusterIdentifier=name)["DBCluster"]
    assert said["Status"] == "failing-over"
    assert states(account) == ("failing-over", "rebooting")
    until(lambda: states(account) == ("available", "available"))


def test_an_instance_reboots_and_tells_so(account: Account) -> None:
    said = account.rds.reboot_db_instance(DBInstanceIdentifier=WRITER)["DBInstance"]
    assert said["DBInstanceStatus"] == "rebooting"
    assert states(account) == ("available", "rebooting")
    until(lambda: states(account) == ("available", "available"))


def test_what_is_away_can_neither_fail_over_nor_reboot(account: Account) -> None:
    account.rds.failover_db_cluster(DBClusterIdentifier=CLUSTER)
    assert refused(account.rds.failover_db_cluster, DBClusterIdentifier=CLUSTER) == (
        "InvalidDBClusterStateFault", 400,
    )  # fmt: skip
    assert refused(account.rds.reboot_db_instance, DBInstanceIdentifier=WRITER) == (
        "InvalidDBInstanceState", 400,
    )  # fmt: skip


def test_there_is_no_other_instance_to_fail_over_to(account: Account) -> None:
    invalid = ("InvalidDBInstanceState", 400)
    fail_over, reboot = account.rds.failover_db_cluster, account.rds.reboot_db_instance
    for target in (WRITER, "other"):
        asked = {"DBClusterIdentifier": CLUSTER, "TargetDBInstanceIdentifier": target}
        assert refused(fail_over, **asked) == invalid
    assert refused(reboot, DBInstanceIdentifier=WRITER, ForceFailover=True) == invalid
    assert states(account) == ("available", "available")


def test_the_cluster_takes_no_reader(account: Account) -> None:
    code, status = refused(
        account.rds.create_db_instance,
        DBInstanceIdentifier="reader",
        DBInstanceClass="db.serverless",
        Engine="aurora-postgresql",
        DBClusterIdentifier=CLUSTER,
    )
    assert (code, status) == ("InvalidDBClusterStateFault", 400)
    assert len(cluster(account)["DBClusterMembers"]) == 1


def test_what_there_is_not_is_not_found(account: Account) -> None:
    for call in (account.rds.failover_db_cluster, account.rds.describe_db_clusters):
        assert refused(call, DBClusterIdentifier="other") == ("DBClusterNotFoundFault", 404)
    for call in (account.rds.reboot_db_instance, account.rds.describe_db_instances):
        assert refused(call, DBInstanceIdentifier="other") == ("DBInstanceNotFound", 404)


def test_clusters_and_instances_tell_where_and_what_they_are(account: Account) -> None:
    told = cluster(account)
    assert (told["Endpoint"], told["Port"]) == ("127.0.0.1", DATABASE_PORT)
    assert told["EngineVersion"].startswith("18.")
    assert told["HttpEndpointEnabled"] is True
    assert told["AvailabilityZones"] == ["us-east-1a", "us-east-1b"]
    assert [each["IsClusterWriter"] for each in told["DBClusterMembers"]] == [True]
    told = writer(account)
    assert told["Endpoint"] == {"Address": "127.0.0.1", "Port": DATABASE_PORT}
    assert told["EngineVersion"].startswith("18.")


def test_a_database_of_ones_own_is_a_record(account: Account) -> None:
    account.rds.create_db_instance(
        DBInstanceIdentifier="mine",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="me",
        MasterUserPassword="not-a-secret",
    )
    account.rds.reboot_db_instance(DBInstanceIdentifier="mine")
    account.rds.stop_db_instance(DBInstanceIdentifier="mine")
    mine = account.rds.describe_db_instances(DBInstanceIdentifier="mine")["DBInstances"][0]
    assert mine["DBInstanceStatus"] == "stopped"
    assert "amazonaws" in mine["Endpoint"]["Address"]
    assert states(account) == ("available", "available")
