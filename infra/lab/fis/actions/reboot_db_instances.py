"""`aws:rds:reboot-db-instances`: the database ends its sessions in good order, and is back."""

from infra.lab.fis.action import Action, Parameters, Targets, ids_of, registers
from infra.lab.fis.errors import ActionFailed
from infra.lab.fis.servers_and_database import Lab


@registers(
    "aws:rds:reboot-db-instances",
    targets={"DBInstances": "aws:rds:db"},
    optional=("forceFailover",),
)
class RebootDbInstances(Action):
    """Done when it lets somebody in again."""

    def __init__(self, lab: Lab, targets: Targets, parameters: Parameters) -> None:
        self._database = lab.database
        self._identifiers = ids_of(targets.get("DBInstances"))
        self._is_failover = parameters.get("forceFailover") == "true"

    def inject(self) -> None:
        """Reboot it."""
        if self._is_failover:
            raise ActionFailed("forceFailover: the lab's database is in one zone, as Aurora's are")
        for identifier in self._identifiers:
            self._database.reboot(identifier)

    def is_done(self) -> bool:
        """Whether it is back."""
        return self._database.is_available()
