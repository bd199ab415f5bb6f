"""Where a worker keeps its ledger: with its master if they share a disk, else in its own place."""

import os
import secrets
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from analysis.evidence.errors import EvidenceError
from analysis.evidence.ledger.tail import start_of_machine
from analysis.evidence.run_directory import LEDGER_FOLDER, RunDirectory
from harness.errors import LedgerFailed
from harness.record.ledger import process_id

RUNS = Path("runs")
_TELLING = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a master tells its workers of the run's directory, and how to know it again.

    The nonce is in run.json too. `machine` is the master's: locks hold between its processes only.
    """

    path: str
    run_id: str
    nonce: str
    machine: str

    @classmethod
    def of(cls, run: RunDirectory) -> "Offer":
        """Make a new run's offer; its nonce has still to be written into run.json."""
        return cls(
            path=str(run.path),
            run_id=run.run_id,
            nonce=secrets.token_hex(16),
            machine=_this_machine(),
        )

    @classmethod
    def read(cls, message: Mapping[str, str]) -> "Offer":
        """Take an offer from `as_message`."""
        return cls(**message)

    def as_message(self) -> dict[str, str]:
        """Return what can be sent to workers."""
        return asdict(self)

    def is_shared(self) -> bool:
        """Whether this process sees, and may write to, the very directory that the master means."""
        if self.machine != _this_machine():
            return False
        try:
            run = RunDirectory(self.path)
            is_same = run.read_run().get("nonce") == self.nonce
        except (EvidenceError, OSError):
            return False
        return is_same and os.access(run.path / LEDGER_FOLDER, os.W_OK)


def own_name(offer: Offer, client_id: str) -> str:
    """Name a worker's ledger so that no machine of this run or of another has the same.

    Hosts may share their names, and runs theirs: the ends are Locust's id and the run's nonce.
    """
    return f"{process_id()}-{client_id[-_TELLING:]}-{offer.nonce[:_TELLING]}"


def own_directory(offer: Offer, name: str) -> RunDirectory:
    """Make a worker's own directory, which it keeps; LedgerFailed where that cannot be."""
    path = RUNS / f"{offer.run_id}-worker-{name}"
    try:
        (path / LEDGER_FOLDER).mkdir(parents=True)
    except OSError as error:
        raise LedgerFailed(
            f"cannot make {path.resolve()} for the ledger: {error.strerror}"
        ) from error
    return RunDirectory(path)


def _this_machine() -> str:
    boot = start_of_machine().decode("ascii") or f"{uuid.getnode():x}"  # the latter off Linux
    return f"{socket.gethostname()} {boot}"
