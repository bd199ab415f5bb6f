"""One EC2 instance of the lab: its life, its server, its address on the network."""

import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import psutil

from infra.lab.database.postgres import KEEPALIVE_S
from infra.lab.processes.process_group import ProcessGroup
from infra.lab.servers.silent_address import SilencedListener, SilentAddress
from infra.lab.settings import LabSettings

log = logging.getLogger(__name__)


class MachineState(StrEnum):
    """As EC2 names them."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"


_ON = frozenset({MachineState.PENDING, MachineState.RUNNING})


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


class Machine:
    """A state machine on the supervisor's clock `now`: `tick` does what has become due."""

    def __init__(
        self,
        *,
        place: Place,
        settings: LabSettings,
        serve: Callable[[Place], ProcessGroup],
        changed: "Callable[[Machine], None]",
        now: Callable[[], float],
    ) -> None:
        self.place = place
        self.state = MachineState.PENDING
        self._not_running_since: float | None = None
        self._settings = settings
        self._serve = serve
        self._changed = changed
        self._now = now
        self.server_started_at = now()
        self._server: ProcessGroup | None = None
        self._silence: SilentAddress | None = None
        self._seal: SilencedListener | None = None
        self._cuts = 0
        self._noticed_dead_at: float | None = None
        self._rebooting_by: float | None = None
        self._due = now() + settings.pending_s

    @property
    def is_serving(self) -> bool:
        """Whether its server process runs."""
        return self._server is not None and self._server.is_alive()

    @property
    def has_lost_server(self) -> bool:
        """Whether its server process has ended, and the machine runs on without it."""
        is_on = self.state is MachineState.RUNNING
        return is_on and self._server is not None and not self.is_serving

    @property
    def is_known_off(self) -> bool:
        """Whether load balancer and Auto Scaling group have heard that EC2 no longer runs it."""
        since = self._not_running_since
        return since is not None and self._now() - since >= self._settings.ec2_state_delay_s

    @property
    def has_power(self) -> bool:
        """False from a power cut until it boots again."""
        return self._noticed_dead_at is None

    def processes(self) -> Sequence[psutil.Process]:
        """Those of its server."""
        return [] if self._server is None else self._server.members()

    def tick(self) -> None:
        """Go on to the next state where its time has come."""
        now = self._now()
        if self._noticed_dead_at is not None and now >= self._noticed_dead_at:
            self._noticed_dead_at = float("inf")
            self._switch_off()
        if self._rebooting_by is not None and (now >= self._rebooting_by or not self.is_serving):
            self._boot_again()
        if now < self._due:
            return
        if self.state is MachineState.PENDING:
            self._due = now + self._settings.boot_s
            self._enter(MachineState.RUNNING)
        elif self.state is MachineState.RUNNING and self._server is None and self.has_power:
            self.server_started_at = now
            self._server = self._serve(self.place)
            if self._cuts:
                self._freeze_server()
        elif self.state is MachineState.STOPPING:
            self._switch_off()
            self._enter(MachineState.STOPPED)
        elif self.state is MachineState.SHUTTING_DOWN:
            self._switch_off()
            self._enter(MachineState.TERMINATED)

    def stop(self) -> None:
        """Shut down in good order: the server stops accepting and finishes what it has.

        Until the machine is off its address refuses connections; from then on it is silent.
        """
        if self.state in _ON:
            self._begin_to_leave()
            self._due = self._now() + self._settings.stopping_s
            self._enter(MachineState.STOPPING)

    def terminate(self) -> None:
        """As `stop`, for good."""
        if self.state in {MachineState.SHUTTING_DOWN, MachineState.TERMINATED}:
            return
        self._begin_to_leave()
        was_on = self.state in _ON
        self._due = self._now() + (self._settings.shutting_down_s if was_on else 0.0)
        self._enter(MachineState.SHUTTING_DOWN)

    def start(self) -> None:
        """Boot again after a stop."""
        if self.state is MachineState.STOPPED:
            self._be_heard_again()
            self._noticed_dead_at = None
            self._due = self._now() + self._settings.pending_s
            self._enter(MachineState.PENDING)

    def reboot(self) -> None:
        """End the server in good order and boot again, without leaving the state `running`."""
        if self.state is not MachineState.RUNNING or self._rebooting_by is not None:
            return
        if self._seal is not None or not self.has_power:
            self._boot_again()
        else:
            self._begin_to_leave()
            self._rebooting_by = self._now() + self._settings.stopping_s

    def freeze(self) -> None:
        """Cut it off from everybody: silent, with its sockets and its transactions open.

        Each call needs a `thaw` of its own: cuts may overlap.
        """
        self._cuts += 1
        self._freeze_server()

    def thaw(self) -> None:
        """End one `freeze`: with the last one it goes on with what it was doing."""
        self._cuts = max(self._cuts - 1, 0)
        if not self._cuts and self.has_power and self._seal is not None:
            self._seal.close()
            self._seal = None
            if self._server is not None:
                self._server.thaw()

    def power_off(self) -> None:
        """Be gone without a word, in whatever it is doing; EC2 goes on to call it running.

        What it had open stays so on the other side, until that side's keepalive finds out.
        """
        if self.state is MachineState.RUNNING and self.has_power:
            self._rebooting_by = None
            # A database's keepalive finds that nobody is there any more.
            self._noticed_dead_at = self._now() + KEEPALIVE_S
            self._freeze_server()
            if self._server is None:
                self._switch_off()

    def power_on(self) -> None:
        """Boot again after `power_off`."""
        if self.state is MachineState.RUNNING and not self.has_power:
            self._boot_again()

    def close(self) -> None:
        """End its process and give its address back, at the end of the lab."""
        self._kill_server()
        self._be_heard_again()

    def _begin_to_leave(self) -> None:
        self._rebooting_by = None
        if self._server is not None:
            self._server.send(signal.SIGTERM)

    def _boot_again(self) -> None:
        self._rebooting_by = None
        self._noticed_dead_at = None
        self._kill_server()
        self._be_heard_again()
        self._due = self._now() + self._settings.boot_s

    def _freeze_server(self) -> None:
        if self._server is not None and self._seal is None:
            self._server.freeze()
            self._seal = SilencedListener(self._server.pid, *self.place.where)

    def _switch_off(self) -> None:
        self._kill_server()
        if self._silence is None:
            try:
                self._silence = SilentAddress(self.place.address, self.place.port)
            except OSError as error:  # somebody else has the port: its own refusals have to do
                log.warning("%s is off but not silent: %s", self.place.instance_id, error)

    def _kill_server(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server = None
        if self._seal is not None:
            self._seal.close()
            self._seal = None

    def _be_heard_again(self) -> None:
        if self._silence is not None:
            self._silence.close()
            self._silence = None

    def _enter(self, state: MachineState) -> None:
        self.state = state
        since = self._not_running_since
        self._not_running_since = None if state in _ON else since or self._now()
        self._changed(self)
