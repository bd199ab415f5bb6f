"""Programs in processes of their own: importing Locust changes the one that imports it."""

from __future__ import annotations

import subprocess
import sys

from tests.locustfiles.load import ROOT


def output_of(program: str, *arguments: str) -> list[str]:
    """The words that a program prints; it has to end well."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()
