"""Runs `python -m analysis ...` as a process of its own, out of reach of the terminal's Ctrl-C."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


class AnalysisCommand:
    """One command of `analysis`. The database's URL goes into its environment and nowhere else."""

    def __init__(self, *arguments: str, database_url: str, keeps_output: bool = False) -> None:
        self._arguments = arguments
        self._database_url = database_url
        self._keeps_output = keeps_output
        self.output = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def line(self) -> str:
        """What a person would type; without the database's URL, which is a secret."""
        return " ".join(("python -m analysis", *self._arguments))

    def run(self) -> int:
        """Run it to its end and return its exit code; its output is passed through or kept.

        Yields to other greenlets meanwhile. If this greenlet is killed, the command is too.
        """
        environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
        if self._database_url:
            environment["DATABASE_URL"] = self._database_url
        if self._keeps_output and sys.stdout.isatty():
            # It is shown on this terminal in the end: let it be made for it.
            environment |= {"FORCE_COLOR": "1", "COLUMNS": str(shutil.get_terminal_size().columns)}
        sys.stdout.flush()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "analysis", *self._arguments],
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if self._keeps_output else None,
            start_new_session=True,
        )
        try:
            written, _ = self._process.communicate()
            self.output = (written or b"").decode(errors="replace")
            return self._process.returncode
        except BaseException:
            self._process.kill()
            raise

    def stop(self) -> None:
        """End it; `run` then returns a negative number."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
