"""What FIS's actions act on: the lab's machines and its database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import psutil

from infra.lab import cloud
from infra.lab.cloud_names import CLUSTER, WRITER
from infra.lab.fis.action import ActionFailed, Neighbour
from infra.lab.fleet import Fleet
from infra.lab.machine import Machine, MachineState
from infra.lab.writer import Writer

# Instance id and command -> the program, which ends with the lab.
Run = Callable[[str, Sequence[str]], Neighbour]


class LiveServers:
    """The instances. EC2's own verbs go by EC2's own calls: some may be a user's own."""

    def __init__(self, *, fleet: Callable[[], Fleet | None], run: Run) -> None:
        self._fleet = fleet
        self._run = run

    def stop(self, instance_id: str) -> None:
        """As StopInstances."""
        cloud.backend("ec2").get_instance(instance_id).stop()

    def start(self, instance_id: str) -> None:
        """As StartInstances."""
        cloud.backend("ec2").get_instance(instance_id).start()

    def terminate(self, instance_id: str) -> None:
        """As TerminateInstances."""
        cloud.backend("ec2").get_instance(instance_id).terminate()

    def reboot(self, instance_id: str) -> None:
        """As RebootInstances."""
        cloud.backend("ec2").get_instance(instance_id).reboot()

    def state_of(self, instance_id: str) -> str:
        """As DescribeInstances."""
        return str(cloud.backend("ec2").get_instance(instance_id)._state.name)  # noqa: SLF001

    def in_subnet(self, subnet_id: str) -> Sequence[str]:
        """Ids of the servers in a subnet that are running."""
        fleet = self._fleet()
        zones = {} if fleet is None else fleet.subnet_of_zone
        return [
            each.place.instance_id
            for each in ([] if fleet is None else fleet.machines.values())
            if zones[each.place.zone] == subnet_id and each.state is MachineState.RUNNING
        ]

    def freeze(self, instance_id: str) -> None:
        """Cut it off."""
        self._machine(instance_id).freeze()

    def thaw(self, instance_id: str) -> None:
        """Let it go on."""
        self._machine(instance_id).thaw()

    def power_off(self, instance_id: str) -> None:
        """It is gone without a word."""
        self._machine(instance_id)
        self._known_fleet().power_off(instance_id)

    def power_on(self, instance_id: str) -> None:
        """It boots again."""
        self._machine(instance_id)
        self._known_fleet().power_on(instance_id)

    def signal(self, instance_id: str, process_name: str, signal_number: int) -> int:
        """Signal the processes with this in their command line; returns how many there were."""
        signalled = 0
        for process in self._machine(instance_id).processes():
            with contextlib.suppress(psutil.Error):
                if process_name in " ".join(process.cmdline()):
                    process.send_signal(signal_number)
                    signalled += 1
        return signalled

    def run_beside(self, instance_id: str, command: Sequence[str]) -> Neighbour:
        """Start a program on it."""
        self._machine(instance_id)
        return self._run(instance_id, command)

    def _machine(self, instance_id: str) -> Machine:
        machine = self._known_fleet().machines.get(instance_id)
        if machine is None:
            raise ActionFailed(f"{instance_id} is not one of the lab's servers: no machine is it")
        return machine

    def _known_fleet(self) -> Fleet:
        fleet = self._fleet()
        if fleet is None:
            raise ActionFailed("the lab has no servers yet")
        return fleet


class LiveDatabase:
    """The writer, by the names that RDS knows it under."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def fail_over(self, identifier: str) -> None:
        """The writer dies."""
        _check(identifier, CLUSTER)
        self._writer.fail_over()

    def reboot(self, identifier: str) -> None:
        """The writer shuts down."""
        _check(identifier, WRITER)
        self._writer.reboot()

    def is_available(self) -> bool:
        """Whether it is there."""
        return self._writer.is_available()


def _check(identifier: str, ours: str) -> None:
    if identifier != ours:
        raise ActionFailed(f"{identifier} is not the lab's database, which is {ours}")


class LiveLab:
    """Both."""

    def __init__(self, *, servers: LiveServers, database: LiveDatabase) -> None:
        self.servers = servers
        self.database = database
