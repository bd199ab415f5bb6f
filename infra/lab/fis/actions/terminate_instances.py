"""`aws:ec2:terminate-instances`: servers leave in good order, for good."""

from infra.lab.fis.action import Action, Parameters, Targets, ids_of, registers
from infra.lab.fis.servers_and_database import Lab


@registers("aws:ec2:terminate-instances", targets={"Instances": "aws:ec2:instance"})
class TerminateInstances(Action):
    """Done when every target is terminated. The Auto Scaling group replaces them."""

    def __init__(self, lab: Lab, targets: Targets, _parameters: Parameters) -> None:
        self._servers = lab.servers
        self._instance_ids = ids_of(targets.get("Instances"))

    def inject(self) -> None:
        """Terminate each."""
        for instance_id in self._instance_ids:
            self._servers.terminate(instance_id)

    def is_done(self) -> bool:
        """Whether all are."""
        return all(self._servers.state_of(each) == "terminated" for each in self._instance_ids)
