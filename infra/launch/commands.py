"""Our own commands, each run in a process of its own, and what is said to who asked for a run."""

import subprocess
import sys
from collections.abc import Mapping

from infra import ROOT

# Exit codes.
UNDECIDED, BAD_ARGUMENT, OUR_FAULT = 2, 64, 70


def say(text: str) -> None:
    """Print a line of `make chaos-load` on standard error."""
    print(f"chaos-load: {text}", file=sys.stderr, flush=True)


def run_command(*words: str, environment: Mapping[str, str]) -> int:
    """Run `python -m WORDS` to its end; returns its exit code, which a signal makes negative."""
    command = [sys.executable, "-m", *words]
    # No Ctrl-C of the terminal's: we end it, or wait for it.
    return subprocess.run(
        command, cwd=ROOT, env=dict(environment), check=False, start_new_session=True
    ).returncode
