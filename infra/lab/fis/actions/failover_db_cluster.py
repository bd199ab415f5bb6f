"""`aws:rds:failover-db-cluster`: the writer dies in the middle of everything.

Connections break, commits in flight are in doubt, nobody is let in for a while, and then a
writer is there that has what was on disk.
"""

from infra.lab.fis.action import Action, Parameters, Targets, ids_of, registers
from infra.lab.fis.servers_and_database import Lab


@registers("aws:rds:failover-db-cluster", targets={"Clusters": "aws:rds:cluster"})
class FailoverDbCluster(Action):
    """Done when there is a writer again."""

    def __init__(self, lab: Lab, targets: Targets, _parameters: Parameters) -> None:
        self._database = lab.database
        self._cluster_ids = ids_of(targets.get("Clusters"))

    def inject(self) -> None:
        """Kill the writer."""
        for cluster_id in self._cluster_ids:
            self._database.fail_over(cluster_id)

    def is_done(self) -> bool:
        """Whether it is back."""
        return self._database.is_available()
