"""`aws:ssm:send-command`: one of FIS's own documents, run on servers.

https://docs.aws.amazon.com/fis/latest/userguide/actions-ssm-agent.html
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from infra.lab.fis.action import Parameters, Targets, ids_of, registers
from infra.lab.fis.duration import seconds_of
from infra.lab.fis.errors import ActionFailed
from infra.lab.fis.servers_and_database import Lab
from infra.lab.processes.process_group import ProcessGroup
from infra.lab.servers import cpu_load

_CPU_LOAD = Path(cpu_load.__file__)
_SHAPING = frozenset({"AWSFIS-Run-Network-Latency", "AWSFIS-Run-Network-Packet-Loss"})


@registers(
    "aws:ssm:send-command",
    targets={"Instances": "aws:ec2:instance"},
    required=("documentArn", "duration"),
    optional=("documentParameters", "documentVersion"),
)
class SendCommand:
    """Done when the document has run; what still runs when the duration is over is ended."""

    def __init__(self, lab: Lab, targets: Targets, parameters: Parameters) -> None:
        self._servers = lab.servers
        self._instance_ids = ids_of(targets.get("Instances"))
        self._document = parameters["documentArn"].rpartition("/")[2]
        self._given = _document_parameters(parameters.get("documentParameters") or "{}")
        self._duration_s = seconds_of(parameters["duration"])
        self._until = float("inf")
        self._neighbours: list[ProcessGroup] = []

    def inject(self) -> None:
        """Run it on each."""
        self._until = time.monotonic() + self._duration_s
        if self._document == "AWSFIS-Run-Kill-Process":
            self._kill_process()
        elif self._document == "AWSFIS-Run-CPU-Stress":
            self._stress_cpu()
        elif self._document in _SHAPING:
            raise ActionFailed(
                f"{self._document} failed: it needs root, tc and the kernel's netem, which would "
                "act on all of the loopback interface and outlive a lab that is killed; "
                "aws:network:disrupt-connectivity cuts servers off without them"
            )
        else:
            raise ActionFailed(
                f"the lab does not have the document {self._document}: choose one of "
                f"AWSFIS-Run-Kill-Process, AWSFIS-Run-CPU-Stress"
            )

    def is_done(self) -> bool:
        """Whether nothing of it runs any more."""
        if time.monotonic() >= self._until:
            self.heal()
        return not any(each.is_alive() for each in self._neighbours)

    def heal(self) -> None:
        """End what runs."""
        while self._neighbours:
            self._neighbours.pop().kill()

    def _kill_process(self) -> None:
        name = self._given.get("ProcessName") or ""
        number = _signal(self._given.get("Signal") or "SIGTERM")
        for instance_id in self._instance_ids:
            if not name or not self._servers.signal(instance_id, name, number):
                raise ActionFailed(f"no process named {name!r} on {instance_id}")

    def _stress_cpu(self) -> None:
        seconds = min(_whole(self._given, "DurationSeconds", default=None), int(self._duration_s))
        load_percent = _whole(self._given, "LoadPercent", default=100)
        cores = _whole(self._given, "CPU", default=0) or os.cpu_count() or 1
        if not 1 <= load_percent <= 100:  # noqa: PLR2004  (per cent)
            raise ActionFailed(f"LoadPercent {load_percent} is not from 1 to 100")
        command = [sys.executable, "-I", str(_CPU_LOAD), str(seconds), str(load_percent)]
        for instance_id in self._instance_ids:
            for _ in range(min(cores, os.cpu_count() or 1)):
                self._neighbours.append(self._servers.run_beside(instance_id, command))


def _document_parameters(text: str) -> dict[str, str]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise ActionFailed(f"documentParameters is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise ActionFailed("documentParameters is not a JSON object")
    # SSM takes lists as well.
    return {
        str(name): str(value[0] if isinstance(value, list) and value else value)
        for name, value in given.items()
    }


def _signal(name: str) -> int:
    try:
        return int(signal.Signals[name if name.startswith("SIG") else f"SIG{name}"])
    except KeyError:
        raise ActionFailed(f"Signal {name} is not one, such as SIGKILL") from None


def _whole(given: dict[str, str], name: str, *, default: int | None) -> int:
    text = given.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise ActionFailed(f"{name} is {text!r}, not a whole number")
    return int(text)
