"""One EC2 instance of the lab: its life, its server, its address on the network."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from infra.lab.black_hole import BlackHole

log = logging.getLogger(__name__)


class MachineState(StrEnum):
    """As EC2 names them."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a machine is: `address` and `port` on this computer, `private_ip` in its VPC."""

    instance_id: str
    zone: str
    private_ip: str
    address: str
    port: int

    @property
    def where(self) -> tuple[str, int]:
        """Address and port."""
        return self.address, self.port


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long each part of a machine's life takes, in seconds."""

    pending_s: float
    boot_s: float
    stopping_s: float
    shutting_down_s: float


class Server(Protocol):
    """What a machine needs of the process that serves on it."""

    def is_alive(self) -> bool:
        """Whether it runs."""
        ...

    def send(self, signal_number: int) -> None:
        """Signal its leader."""
        ...

    def kill(self) -> None:
        """End all of it at once."""
        ...


class Machine:
    """A state machine on the supervisor's clock: `tick(now)` does what has become due."""

    def __init__(
        self,
        *,
        place: Place,
        pace: Pace,
        serve: Callable[[Place], Server],
        changed: Callable[[Machine], None],
        now: float,
    ) -> None:
        self.place = place
        self.state = MachineState.PENDING
        self.not_running_since: float | None = None
        self._pace = pace
        self._serve = serve
        self._changed = changed
        self._server: Server | None = None
        self._black_hole: BlackHole | None = None
        self._due = now + pace.pending_s

    @property
    def is_serving(self) -> bool:
        """Whether its server process runs."""
        return self._server is not None and self._server.is_alive()

    def tick(self, now: float) -> None:
        """Go on to the next state where its time has come."""
        if now < self._due:
            return
        if self.state is MachineState.PENDING:
            self._due = now + self._pace.boot_s
            self._enter(MachineState.RUNNING, now)
        elif self.state is MachineState.RUNNING and self._server is None:
            self._server = self._serve(self.place)
        elif self.state is MachineState.STOPPING:
            self._switch_off()
            self._enter(MachineState.STOPPED, now)
        elif self.state is MachineState.SHUTTING_DOWN:
            self._switch_off()
            self._enter(MachineState.TERMINATED, now)

    def stop(self, now: float) -> None:
        """Shut down in good order: the server stops accepting and finishes what it has.

        Until the machine is off its address refuses connections; from then on it is silent.
        """
        if self.state in {MachineState.PENDING, MachineState.RUNNING}:
            self._begin_to_leave()
            self._due = now + self._pace.stopping_s
            self._enter(MachineState.STOPPING, now)

    def terminate(self, now: float) -> None:
        """As `stop`, for good."""
        if self.state in {MachineState.SHUTTING_DOWN, MachineState.TERMINATED}:
            return
        self._begin_to_leave()
        was_on = self.state in {MachineState.PENDING, MachineState.RUNNING}
        self._due = now + (self._pace.shutting_down_s if was_on else 0.0)
        self._enter(MachineState.SHUTTING_DOWN, now)

    def start(self, now: float) -> None:
        """Boot again after a stop."""
        if self.state is MachineState.STOPPED:
            self._leave_black_hole()
            self._due = now + self._pace.pending_s
            self._enter(MachineState.PENDING, now)

    def reboot(self, now: float) -> None:
        """End the server at once and boot again, without leaving the state `running`."""
        if self.state is MachineState.RUNNING:
            self._kill_server()
            self._due = now + self._pace.boot_s

    def close(self) -> None:
        """End its process and give its address back, at the end of the lab."""
        self._kill_server()
        self._leave_black_hole()

    def _begin_to_leave(self) -> None:
        if self._server is not None:
            self._server.send(signal.SIGTERM)

    def _switch_off(self) -> None:
        self._kill_server()
        if self._black_hole is None:
            try:
                self._black_hole = BlackHole(self.place.address, self.place.port)
            except OSError as error:  # somebody else has the port: its own refusals have to do
                log.warning("%s is off but not silent: %s", self.place.instance_id, error)

    def _kill_server(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server = None

    def _leave_black_hole(self) -> None:
        if self._black_hole is not None:
            self._black_hole.close()
            self._black_hole = None

    def _enter(self, state: MachineState, now: float) -> None:
        self.state = state
        on_its_way = state in {MachineState.PENDING, MachineState.RUNNING}
        if on_its_way:
            self.not_running_since = None
        elif self.not_running_since is None:
            self.not_running_since = now
        self._changed(self)
