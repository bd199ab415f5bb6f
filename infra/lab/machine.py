"""One EC2 instance of the lab: its life, its server, its address on the network."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import psutil

from infra.lab.black_hole import BlackHole, SealedListener

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
    # After a power cut: until a database's keepalive finds that nobody is there any more.
    keepalive_s: float


class Server(Protocol):
    """What a machine needs of the process that serves on it."""

    @property
    def pid(self) -> int:
        """Of its leader."""
        ...

    def is_alive(self) -> bool:
        """Whether it runs."""
        ...

    def send(self, signal_number: int) -> None:
        """Signal its leader."""
        ...

    def kill(self) -> None:
        """End all of it at once."""
        ...

    def freeze(self) -> None:
        """Stop all of it where it is, with its sockets open."""
        ...

    def thaw(self) -> None:
        """Let it go on."""
        ...

    def members(self) -> list[psutil.Process]:
        """All of its processes."""
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
        self.server_started_at = now
        self._server: Server | None = None
        self._black_hole: BlackHole | None = None
        self._seal: SealedListener | None = None
        self._cuts = 0
        self._noticed_dead_at: float | None = None
        self._rebooting_by: float | None = None
        self._due = now + pace.pending_s

    @property
    def is_serving(self) -> bool:
        """Whether its server process runs."""
        return self._server is not None and self._server.is_alive()

    @property
    def has_lost_server(self) -> bool:
        """Whether its server process has ended, and the machine runs on without it."""
        is_on = self.state is MachineState.RUNNING
        return is_on and self._server is not None and not self._server.is_alive()

    @property
    def is_frozen(self) -> bool:
        """Whether its server is stopped in the middle of things, silent to everybody."""
        return self._seal is not None

    @property
    def has_power(self) -> bool:
        """False from a power cut until it boots again."""
        return self._noticed_dead_at is None

    def processes(self) -> Sequence[psutil.Process]:
        """Those of its server."""
        return [] if self._server is None else self._server.members()

    def tick(self, now: float) -> None:
        """Go on to the next state where its time has come."""
        if self._noticed_dead_at is not None and now >= self._noticed_dead_at:
            self._noticed_dead_at = float("inf")
            self._switch_off()
        if self._rebooting_by is not None and (now >= self._rebooting_by or not self.is_serving):
            self._boot_again(now)
        if now < self._due:
            return
        if self.state is MachineState.PENDING:
            self._due = now + self._pace.boot_s
            self._enter(MachineState.RUNNING, now)
        elif self.state is MachineState.RUNNING and self._server is None and self.has_power:
            self.server_started_at = now
            self._server = self._serve(self.place)
            if self._cuts:
                self._freeze_server()
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
            self._noticed_dead_at = None
            self._due = now + self._pace.pending_s
            self._enter(MachineState.PENDING, now)

    def reboot(self, now: float) -> None:
        """End the server in good order and boot again, without leaving the state `running`."""
        if self.state is not MachineState.RUNNING or self._rebooting_by is not None:
            return
        if self.is_frozen or not self.has_power:
            self._boot_again(now)
        else:
            self._begin_to_leave()
            self._rebooting_by = now + self._pace.stopping_s

    def freeze(self) -> None:
        """Cut it off from everybody: silent, with its sockets and its transactions open.

        Each call needs a `thaw` of its own: cuts may overlap.
        """
        self._cuts += 1
        self._freeze_server()

    def thaw(self) -> None:
        """End one `freeze`: with the last one it goes on with what it was doing."""
        self._cuts = max(self._cuts - 1, 0)
        if not self._cuts and self.has_power:
            self._thaw_server()

    def power_off(self, now: float) -> None:
        """Be gone without a word, in whatever it is doing; EC2 goes on to call it running.

        What it had open stays so on the other side, until that side's keepalive finds out.
        """
        if self.state is MachineState.RUNNING and self.has_power:
            self._rebooting_by = None
            self._noticed_dead_at = now + self._pace.keepalive_s
            self._freeze_server()
            if self._server is None:
                self._switch_off()

    def power_on(self, now: float) -> None:
        """Boot again after `power_off`."""
        if self.state is MachineState.RUNNING and not self.has_power:
            self._boot_again(now)

    def close(self) -> None:
        """End its process and give its address back, at the end of the lab."""
        self._kill_server()
        self._leave_black_hole()

    def _begin_to_leave(self) -> None:
        self._rebooting_by = None
        if self._server is not None:
            self._server.send(signal.SIGTERM)

    def _boot_again(self, now: float) -> None:
        self._rebooting_by = None
        self._noticed_dead_at = None
        self._kill_server()
        self._leave_black_hole()
        self._due = now + self._pace.boot_s

    def _freeze_server(self) -> None:
        if self._server is not None and self._seal is None:
            self._server.freeze()
            self._seal = SealedListener(self._server.pid, *self.place.where)

    def _thaw_server(self) -> None:
        if self._seal is not None:
            self._seal.close()
            self._seal = None
            if self._server is not None:
                self._server.thaw()

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
        if self._seal is not None:
            self._seal.close()
            self._seal = None

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
