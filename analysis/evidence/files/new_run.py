"""Where a new run goes: a folder of its own, by its time and experiment, or one that was named."""

import os
import re
from contextlib import suppress
from pathlib import Path

from analysis.evidence.errors import EvidenceError
from analysis.evidence.records import format_time

# Whose presence tells that a folder is a run's.
_OF_A_RUN = ("run.json", "ledger", "events.csv")


def make_folder(root: Path, *, experiment: str, at: int, path: Path | None) -> Path:
    """Make `root`/<UTC time>-<experiment>, with -2, -3 ... where that exists, or `path`.

    EvidenceError if `path` holds a run already. `at` is in microseconds.
    """
    if path is None:
        time = re.sub(r"\.\d+|[-:]", "", format_time(at))  # 20261123T151530Z
        return _make_next(root, f"{time}-{as_file_name(experiment)}")
    path.mkdir(parents=True, exist_ok=True)
    _refuse_taken(path)
    return path


def check_new(path: Path) -> None:
    """Raise EvidenceError or OSError where no run could be made of `path`."""
    _refuse_taken(path)
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise EvidenceError(
            f"{there} is no directory that can be written to; name another directory"
        )


def as_file_name(text: str) -> str:
    """Return a text without what a file's name may not hold or begin with."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip(".-")


def _make_next(root: Path, name: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = root / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            path.mkdir()
            return path
        number += 1


def _refuse_taken(path: Path) -> None:
    taken = [name for name in _OF_A_RUN if (path / name).exists()]
    if taken:
        raise EvidenceError(
            f"{path} holds a run already ({', '.join(taken)}); name another directory"
        )


def point_to(link: Path, target: Path) -> None:
    """Make or move a symbolic link in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.exists() and not link.is_symlink():
        raise EvidenceError(f"{link} is not a link to the newest run; move it away")
    beside = link.with_name(f".{link.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    inside = target.parent == link.parent.resolve()
    beside.symlink_to(target.name if inside else target)
    beside.replace(link)
