"""Stdout for Locust's `--json` alone: whatever else this process prints goes to stderr."""

import os
import sys

__all__ = ["KeptStdout"]

_STDOUT, _STDERR = 1, 2


class KeptStdout:
    """The real stdout, while file descriptor 1 is stderr; children have it so too."""

    def __init__(self) -> None:
        self._stdout = os.dup(_STDOUT)
        self.take()

    def take(self) -> None:
        """Send what is printed from now on to stderr."""
        sys.stdout.flush()
        os.dup2(_STDERR, _STDOUT)

    def give_back(self) -> None:
        """Send what is printed from now on to stdout."""
        sys.stdout.flush()
        os.dup2(self._stdout, _STDOUT)
