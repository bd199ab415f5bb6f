"""RDS's calls on the lab's cluster and its writer: how it is, its failover, its reboot."""

from collections.abc import Callable, Iterator
from typing import Any

from moto.core.responses import ActionResult
from moto.rds.exceptions import RDSClientError
from moto.rds.models import DBCluster, DBInstance, RDSBackend
from moto.rds.responses import RDSResponse

from infra.lab.cloud.calls.replacement import Replacement, method
from infra.lab.cloud.names import CLUSTER, WRITER
from infra.lab.fis.servers_and_database import Database

_HOST = "127.0.0.1"


class DatabaseCalls:
    """Clusters and instances of a user's own are records of moto's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replacements(self) -> Iterator[Replacement]:
        """Of moto's methods and attributes."""
        self._moto_fails_over = RDSBackend.failover_db_cluster
        self._moto_reboots = RDSResponse.reboot_db_instance
        yield Replacement(RDSBackend, "failover_db_cluster", method(self._fail_over))
        yield Replacement(RDSResponse, "reboot_db_instance", method(self._reboot))
        yield Replacement(RDSResponse, "create_db_instance", _creating_no_second())
        for owner, name, ours in (
            (DBCluster, "status", self._cluster_status),
            (DBCluster, "endpoint", lambda: _HOST),
            (DBCluster, "reader_endpoint", lambda: _HOST),
            (DBInstance, "status", self._instance_status),
            (DBInstance, "address", lambda: _HOST),
        ):
            is_new = not hasattr(owner, name)  # an attribute of each record alone
            yield Replacement(owner, name, _told(owner, name, ours), is_new=is_new)

    def _cluster_status(self) -> str:
        # An instance's reboot does not show in its cluster.
        status = self._database.status
        return status if status == "failing-over" else "available"

    def _instance_status(self) -> str:
        return "available" if self._database.is_available() else "rebooting"

    def _fail_over(
        self,
        rds: RDSBackend,
        db_cluster_identifier: str,
        target_db_instance_identifier: str | None = None,
    ) -> DBCluster:
        if not _is(db_cluster_identifier, CLUSTER):
            return self._moto_fails_over(rds, db_cluster_identifier, target_db_instance_identifier)
        if target_db_instance_identifier is not None:
            raise RDSClientError(
                "InvalidDBInstanceState",
                f"{target_db_instance_identifier} cannot be failed over to: the lab's cluster has "
                "one instance, which comes back as the writer.",
            )
        self._refuse_while_away("InvalidDBClusterStateFault", CLUSTER)
        self._database.fail_over(CLUSTER)
        return rds.clusters[CLUSTER]

    def _reboot(self, response: RDSResponse) -> ActionResult:
        if not _is(response.params["DBInstanceIdentifier"], WRITER):
            return self._moto_reboots(response)
        if response.params.get("ForceFailover"):
            raise RDSClientError(
                "InvalidDBInstanceState",
                f"{WRITER} is in one zone: there is nothing to fail over to.",
            )
        self._refuse_while_away("InvalidDBInstanceState", WRITER)
        self._database.reboot(WRITER)
        return ActionResult({"DBInstance": response.backend.databases[WRITER]})

    def _refuse_while_away(self, code: str, name: str) -> None:
        if not self._database.is_available():
            raise RDSClientError(code, f"{name} is {self._database.status}, and not available.")


def _creating_no_second() -> Callable[[RDSResponse], ActionResult]:
    """CreateDBInstance, but not into the lab's cluster, once its writer is there."""
    moto_creates = RDSResponse.create_db_instance

    def create(response: RDSResponse) -> ActionResult:
        cluster = response.params.get("DBClusterIdentifier") or ""
        if _is(cluster, CLUSTER) and WRITER in response.backend.databases:
            raise RDSClientError(
                "InvalidDBClusterStateFault", f"{CLUSTER} is one PostgreSQL: it takes no reader."
            )
        return moto_creates(response)

    return create


def _is(identifier: str, ours: str) -> bool:
    """Whether a name, of whatever case, or an ARN is that of the lab's own."""
    return identifier.rpartition(":")[2].lower() == ours


def _told(owner: type, name: str, ours: Callable[[], str]) -> property:
    """Moto's attribute of that name, and `ours` where it is one of the lab's cluster."""
    plain: Any = getattr(owner, name, None)

    def get(record: Any) -> Any:
        if record.resource_id in {CLUSTER, WRITER}:
            return ours()
        return plain.fget(record) if plain else record.__dict__[name]

    def put(record: Any, value: Any) -> None:
        if plain:
            plain.fset(record, value)
        else:
            record.__dict__[name] = value

    return property(get, put)
