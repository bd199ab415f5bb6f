"""The folder in which the processes of one server count together; made by their master.

It must be in the environment before `shop.observation.metrics` is imported.
"""

import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "chaos-shop-metrics-"


def make_metrics_folder(environ: MutableMapping[str, str]) -> Path:
    """Make the folder of this process's server and name it in `environ`."""
    _sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    environ[VARIABLE] = str(folder)
    return folder


def remove_metrics_folder(folder: Path) -> None:
    """Remove the folder and what was counted in it."""
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(place: Path) -> None:
    # A master that was killed could not remove its own.
    for folder in place.glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdecimal() and not _is_alive(int(pid)):
            remove_metrics_folder(folder)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
