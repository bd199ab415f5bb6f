"""What the supervisor tells of itself: a file in the lab's folder, and a lock that it holds."""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceState:
    """One instance, as `lab-status` shows it."""

    instance_id: str
    zone: str
    address: str
    state: str
    health: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabState:
    """All that others need to use the lab. It holds no secret: the database role has none."""

    pid: int
    status: str  # starting, up, stopping, failed
    detail: str = ""
    parts: dict[str, str] = field(default_factory=dict)  # name -> "up" or what is wrong
    host: str = ""
    aws_endpoint: str = ""
    database_url: str = ""
    instances: tuple[InstanceState, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether it is up with all of its parts."""
        return self.status == "up" and all(value == "up" for value in self.parts.values())


class LabFolder:
    """The folder of one lab."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = path / "state.json"
        # What the supervisor says.
        self.supervisor_log = path / "supervisor.log"
        # The load balancer's, in an ALB's format.
        self.access_log = path / "access.log"

    def write(self, state: LabState) -> None:
        """Replace the file, so that readers see the old or the new one whole."""
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(dataclasses.asdict(state), indent=1), encoding="utf-8")
        fresh.replace(self._state)

    def read(self) -> LabState | None:
        """The last one written, or None. Another version's is read as far as it is understood."""
        try:
            raw: dict[str, Any] = json.loads(self._state.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        known = {each.name for each in dataclasses.fields(LabState)}
        state = LabState(**{name: value for name, value in raw.items() if name in known})
        try:
            instances = tuple(InstanceState(**each) for each in raw.get("instances", ()))
        except TypeError:
            instances = ()
        return dataclasses.replace(state, instances=instances)

    def read_live(self) -> LabState | None:
        """The last one written, if a supervisor lives; else None."""
        return self.read() if self.is_supervised() else None

    def written_at(self) -> int:
        """When the last one was written, in nanoseconds; 0 for never."""
        try:
            return self._state.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def is_ours(self) -> bool:
        """Whether it holds a lab, or nothing: not something that must not be cleared away."""
        return self.supervisor_log.exists() or all(
            each.suffix == ".lock" for each in self.path.iterdir()
        )

    def clear(self) -> None:
        """Remove what the last lab left, except the locks: who waits for one has it open."""
        for each in self.path.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            elif each.suffix != ".lock":
                each.unlink()

    def is_supervised(self) -> bool:
        """Whether a supervisor lives: it holds a lock that no death can leave behind."""
        with contextlib.closing(self.lock("supervisor")) as lock:
            return lock.path.exists() and not lock.try_take()

    def lock(self, of: Literal["raise", "supervisor", "use"]) -> "Lock":
        """One of its three locks.

        Who raises the lab holds `raise` until it is up, the supervisor holds `supervisor` as long
        as it lives, and a run holds `use`: two runs' orders would mix in one table.
        """
        return Lock(self.path / f"{of}.lock")


class Lock:
    """An advisory file lock that ends with its holder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def try_take(self) -> bool:
        """Take it, or say that somebody has it."""
        try:
            self._file = self.path.open("a+", encoding="utf-8")
        except FileNotFoundError:
            return True
        except PermissionError:  # another user's lab
            return False
        os.set_inheritable(self._file.fileno(), False)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            self._file = None
            return False
        return True

    def fileno(self) -> int:
        """The open file's: a child that inherits it holds the lock too."""
        assert self._file is not None
        return self._file.fileno()

    def close(self) -> None:
        """Give it back."""
        if self._file is not None:
            self._file.close()
            self._file = None
