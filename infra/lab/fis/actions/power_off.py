"""`lab:power-off`: a server is gone without a word. FIS has no such action.

Its transactions and row locks stay open in the database, until a limit of the shop's or the
database's own ends them, or its keepalive finds that nobody is there.
"""

import time

from infra.lab.fis.action import Parameters, Targets, ids_of, registers
from infra.lab.fis.duration import seconds_of
from infra.lab.fis.servers_and_database import Lab


@registers("lab:power-off", targets={"Instances": "aws:ec2:instance"}, optional=("duration",))
class PowerOff:
    """Done at once or, with a duration, when the power is back."""

    def __init__(self, lab: Lab, targets: Targets, parameters: Parameters) -> None:
        self._servers = lab.servers
        self._instance_ids = ids_of(targets.get("Instances"))
        duration = parameters.get("duration")
        self._duration_s = None if duration is None else seconds_of(duration)
        self._until = float("inf")

    def inject(self) -> None:
        """Off."""
        for instance_id in self._instance_ids:
            self._servers.power_off(instance_id)
        if self._duration_s is not None:
            self._until = time.monotonic() + self._duration_s

    def is_done(self) -> bool:
        """Whether it has been long enough."""
        if self._duration_s is None:
            return True
        if time.monotonic() < self._until:
            return False
        self.heal()
        return True

    def heal(self) -> None:
        """The power is back; those that have not been replaced boot."""
        for instance_id in self._instance_ids:
            self._servers.power_on(instance_id)
