"""What FIS's actions act on: the lab's machines and its database."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from infra.lab.cloud.moto_server import backend
from infra.lab.cloud.names import CLUSTER, WRITER
from infra.lab.database.failover import Writer
from infra.lab.fis.errors import ActionFailed
from infra.lab.processes.process_group import ProcessGroup
from infra.lab.servers.machine import Machine, MachineState

# Instance id and command -> the program, which ends with the lab.
Run = Callable[[str, Sequence[str]], ProcessGroup]


class Servers:
    """What actions may do to instances. Raises ActionFailed for one that is not the lab's.

    EC2's own verbs go by EC2's own calls: some may be a user's own.
    """

    def __init__(self, *, machines: Mapping[str, Machine], run: Run) -> None:
        self._machines = machines
        self._run = run

    def stop(self, instance_id: str) -> None:
        """As StopInstances."""
        backend("ec2").get_instance(instance_id).stop()

    def start(self, instance_id: str) -> None:
        """As StartInstances."""
        backend("ec2").get_instance(instance_id).start()

    def terminate(self, instance_id: str) -> None:
        """As TerminateInstances."""
        backend("ec2").get_instance(instance_id).terminate()

    def reboot(self, instance_id: str) -> None:
        """As RebootInstances."""
        backend("ec2").get_instance(instance_id).reboot()

    def state_of(self, instance_id: str) -> str:
        """As DescribeInstances."""
        return str(backend("ec2").get_instance(instance_id)._state.name)  # noqa: SLF001

    def in_subnet(self, subnet_id: str) -> Sequence[str]:
        """Ids of the servers in a subnet that are running."""
        return [
            name
            for name, machine in self._machines.items()
            if machine.state is MachineState.RUNNING
            and backend("ec2").get_instance(name).subnet_id == subnet_id
        ]

    def freeze(self, instance_id: str) -> None:
        """Cut it off from everybody, in whatever it is doing. Each needs a `thaw` of its own."""
        self._machine(instance_id).freeze()

    def thaw(self, instance_id: str) -> None:
        """End one `freeze`: it goes on with what it was doing."""
        self._machine(instance_id).thaw()

    def power_off(self, instance_id: str) -> None:
        """It is gone without a word, with its sockets open on the other side."""
        self._machine(instance_id).power_off()

    def power_on(self, instance_id: str) -> None:
        """It boots again."""
        self._machine(instance_id).power_on()

    def signal(self, instance_id: str, process_name: str, signal_number: int) -> int:
        """Signal the processes with this in their command line; returns how many there were."""
        signalled = 0
        for process in self._machine(instance_id).processes():
            with contextlib.suppress(psutil.Error):
                if process_name in " ".join(process.cmdline()):
                    process.send_signal(signal_number)
                    signalled += 1
        return signalled

    def run_beside(self, instance_id: str, command: Sequence[str]) -> ProcessGroup:
        """Start a program on it. It ends with the lab at the latest."""
        self._machine(instance_id)
        return self._run(instance_id, command)

    def _machine(self, instance_id: str) -> Machine:
        machine = self._machines.get(instance_id)
        if machine is None:
            raise ActionFailed(f"{instance_id} is not one of the lab's servers: no machine is it")
        return machine


class Database:
    """What actions may do to the writer, by the names that RDS knows it under."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def fail_over(self, identifier: str) -> None:
        """The writer dies in the middle of everything, and comes back after a while."""
        _check(identifier, CLUSTER)
        self._writer.fail_over()

    def reboot(self, identifier: str) -> None:
        """The writer shuts down in good order, and comes back after a while."""
        _check(identifier, WRITER)
        self._writer.reboot()

    def is_available(self) -> bool:
        """Whether it is there."""
        return self._writer.is_available()

    @property
    def status(self) -> str:
        """`available`, `failing-over` or `rebooting`."""
        return self._writer.status


def _check(identifier: str, ours: str) -> None:
    if identifier != ours:
        raise ActionFailed(f"{identifier} is not the lab's database, which is {ours}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """All that actions may act on."""

    servers: Servers
    database: Database
