"""Addresses for instances: a part of 127.0.0.0/8 that no other lab on this computer has.

Where the platform has only 127.0.0.1 (macOS), instances share it and differ by port.
"""

import random
import socket
from dataclasses import dataclass

from infra.lab.errors import LabBusy
from infra.lab.processes.ports import free_port

_LOCK_HOST = "0.1"
_SUBNETS = {"us-east-1a": 10, "us-east-1b": 11}
# The first four addresses and the last of a subnet are AWS's own.
_FIRST_HOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an instance listens; `private_ip` is None where the VPC has to choose one."""

    host: str
    port: int
    private_ip: str | None


class Network:
    """The VPC's address range, held as long as this object is open."""

    # The availability zones, each with one subnet.
    zones = tuple(_SUBNETS)

    def __init__(self, *, instance_port: int, one_address: bool = False) -> None:
        self._instance_port = instance_port
        self._next_host = dict.fromkeys(_SUBNETS, _FIRST_HOST)
        self._lock = socket.socket()
        # 0: all instances share 127.0.0.1.
        self._slot = 0 if one_address or not _has_whole_range() else self._take_slot()

    @property
    def vpc_cidr(self) -> str:
        """Of the whole network."""
        return f"127.{self._slot}.0.0/16"

    def subnet_cidr(self, zone: str) -> str:
        """Of a zone's subnet."""
        return f"127.{self._slot}.{_SUBNETS[zone]}.0/24"

    def allocate(self, zone: str) -> Address:
        """An address of that zone that was never given before."""
        if not self._slot:
            return Address(host="127.0.0.1", port=free_port(), private_ip=None)
        number = self._next_host[zone]
        if number > 254:  # noqa: PLR2004
            raise LabBusy(
                f"the lab's subnet in {zone} has no address left: bring the lab down and up"
            )
        self._next_host[zone] = number + 1
        host = f"127.{self._slot}.{_SUBNETS[zone]}.{number}"
        return Address(host=host, port=self._instance_port, private_ip=host)

    def close(self) -> None:
        """Give the range back."""
        self._lock.close()

    def _take_slot(self) -> int:
        """The listening socket is the lock: it goes when we go, however we go."""
        for slot in random.sample(range(1, 255), 254):
            try:
                self._lock.bind((f"127.{slot}.{_LOCK_HOST}", self._instance_port))
            except OSError:
                continue
            self._lock.listen(1)
            return slot
        raise LabBusy(
            f"port {self._instance_port} is taken on all of 127.0.0.0/8: end what listens on "
            f"0.0.0.0:{self._instance_port}, or choose another port, as in LAB_INSTANCE_PORT=8123"
        )


def _has_whole_range() -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((f"127.1.{_LOCK_HOST}", 0))
        except OSError:
            return False
    return True
