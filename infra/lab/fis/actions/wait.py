"""`aws:fis:wait`: nothing happens for a while, and stop conditions are watched."""

import time

from infra.lab.fis.action import Action, Parameters, Targets, registers
from infra.lab.fis.duration import seconds_of
from infra.lab.fis.servers_and_database import Lab


@registers("aws:fis:wait", required=("duration",))
class Wait(Action):
    """Done when its duration has run out."""

    def __init__(self, _lab: Lab, _targets: Targets, parameters: Parameters) -> None:
        self._duration_s = seconds_of(parameters["duration"])
        self._until = float("inf")

    def inject(self) -> None:
        """From now on."""
        self._until = time.monotonic() + self._duration_s

    def is_done(self) -> bool:
        """Whether it has been long enough."""
        return time.monotonic() >= self._until
