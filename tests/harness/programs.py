"""Programs in processes of their own: importing Locust changes the one that imports it."""

import os
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.harness.forked_locust import start_locust
from tests.harness.load import ROOT


def run_module(
    module: str,
    *arguments: str,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str, str]:
    """The exit code, output and errors of `python -m MODULE`, where Locust is imported already."""
    wanted = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    process = start_locust(arguments, module=module, cwd=cwd, env=wanted)
    try:
        output, errors = process.communicate()
        return process.wait(), output, errors
    finally:
        process.send_signal(signal.SIGKILL)  # where it hangs


def output_of(program: str, *arguments: str) -> str:
    """What a program prints; it has to end well."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "the_program.py").write_text(program)
        code, output, errors = run_module("the_program", *arguments, cwd=Path(folder))
    assert code == 0, errors
    return output
