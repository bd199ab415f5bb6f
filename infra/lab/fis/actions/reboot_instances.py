"""`aws:ec2:reboot-instances`: servers end in good order, and are back at the same address."""

from infra.lab.fis.action import Action, Parameters, Targets, ids_of, registers
from infra.lab.fis.servers_and_database import Lab


@registers("aws:ec2:reboot-instances", targets={"Instances": "aws:ec2:instance"})
class RebootInstances(Action):
    """Done when it has been asked for: to EC2 a server that reboots is `running` all the time."""

    def __init__(self, lab: Lab, targets: Targets, _parameters: Parameters) -> None:
        self._servers = lab.servers
        self._instance_ids = ids_of(targets.get("Instances"))

    def inject(self) -> None:
        """Reboot each."""
        for instance_id in self._instance_ids:
            self._servers.reboot(instance_id)
