"""Whether a process has really ended, which several suites ask."""

import psutil


def is_alive(process: psutil.Process) -> bool:
    """Not merely waiting for its parent to take note of its end."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
