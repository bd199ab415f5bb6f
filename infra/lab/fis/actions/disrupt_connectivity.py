"""`aws:network:disrupt-connectivity`: the servers of a subnet are cut off, silent, then back.

Packets cannot be dropped without root. What others see of a cut cable is had by freezing the
server's processes: connections stay open and silent, new ones are not made, and the database
keeps the sessions as they are. Work frozen in the middle goes on afterwards. Unlike behind a real
cut the server does nothing meanwhile, and notices nothing but that time has passed.
"""

import time

from infra.lab.fis.action import Parameters, Targets, ids_of, registers
from infra.lab.fis.duration import seconds_of
from infra.lab.fis.errors import ActionFailed
from infra.lab.fis.servers_and_database import Lab

# Load balancer and database are elsewhere, so that each of these cuts both off.
_CUTTING = frozenset({"all", "availability-zone", "vpc"})
# The shop uses neither: true, and without consequence.
_UNUSED = frozenset({"s3", "dynamodb"})


@registers(
    "aws:network:disrupt-connectivity",
    targets={"Subnets": "aws:ec2:subnet"},
    required=("duration", "scope"),
)
class DisruptConnectivity:
    """Done when its duration is over; those launched into the subnet meanwhile are cut off."""

    def __init__(self, lab: Lab, targets: Targets, parameters: Parameters) -> None:
        self._servers = lab.servers
        self._subnet_ids = ids_of(targets.get("Subnets"))
        self._scope = parameters["scope"]
        self._duration_s = seconds_of(parameters["duration"])
        self._until = float("inf")
        self._cut_off: set[str] = set()

    def inject(self) -> None:
        """Cut off what is there."""
        if self._scope not in _CUTTING | _UNUSED:
            known = ", ".join(sorted(_CUTTING | _UNUSED))
            raise ActionFailed(f"scope {self._scope} is not one of the lab's: {known}")
        self._until = time.monotonic() + self._duration_s
        self._cut()

    def is_done(self) -> bool:
        """Whether it has been long enough; if so, all are back."""
        if time.monotonic() < self._until:
            self._cut()
            return False
        self.heal()
        return True

    def heal(self) -> None:
        """Let all go on."""
        while self._cut_off:
            self._servers.thaw(self._cut_off.pop())

    def _cut(self) -> None:
        if self._scope in _UNUSED:
            return
        for subnet_id in self._subnet_ids:
            for instance_id in set(self._servers.in_subnet(subnet_id)) - self._cut_off:
                self._cut_off.add(instance_id)
                self._servers.freeze(instance_id)
