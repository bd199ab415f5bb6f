"""A process that heals if the one that broke things dies: it ends the command and runs the healing.

Told by lines of JSON on its standard input; the end of that, without a word of farewell, is the
death of the load generator. `python -m harness.faults.commands.healer` is nothing to start by hand.
"""

import json
import signal
import sys
from typing import Any

from analysis.evidence.records import Event
from analysis.evidence.run_directory import RunDirectory
from harness.faults.commands.command import Command, end_group
from harness.record.journal import now


def main() -> int:
    """Wait for the farewell, or heal."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    told: dict[str, Any] = {"group": None}
    for line in sys.stdin:
        told |= json.loads(line)
        if told.get("farewell"):
            return 0
    if told["group"] is not None:
        end_group(told["group"], since=told["began"])
    run = RunDirectory(told["run"])
    for line in told["heals"]:
        heal = Command(
            line=line,
            in_shell=told["in_shell"],
            limit_s=told["limit_s"],
            environment=told["environment"],
        )
        _note(run, "heal_command_started", f"{heal.text} (the load generator has died)")
        process = heal.start()
        ended = heal.follow(process) if not hasattr(process, "as_text") else process
        _note(run, "heal_command_ended", ended.as_text)
    return 0


def _note(run: RunDirectory, event: str, detail: str) -> None:
    happened = Event(at=now(), source="harness", subject=run.run_id, event=event, detail=detail)
    run.append_event(happened)


if __name__ == "__main__":
    sys.exit(main())
