"""A fault that is a command of the user's, for shops outside AWS, and what heals it again."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import gevent
from gevent.lock import RLock

from analysis.evidence.records import format_time
from harness.faults.commands.command import Command, Ended
from harness.faults.moment import FireAt
from harness.faults.record import Fault, FaultRecords
from harness.faults.settings import FaultSettings
from harness.record.journal import Journal, now

_ROOT = Path(__file__).resolve().parents[3]
_REASON_AT_MOST = 200  # characters; events.csv has more


def command_faults(
    asked: FaultSettings, journal: Journal, records: FaultRecords
) -> list["CommandFault"]:
    """Make the commands that were asked for into faults; what heals goes with the first."""
    return [
        CommandFault(
            each.what,
            journal,
            records,
            at=each.at,
            heals=asked.heals if number == 0 else (),
            heal_after_s=asked.heal_after_s,
            in_shell=asked.in_shell,
            limit_s=asked.command_limit_s,
        )
        for number, each in enumerate(asked.commands)
    ]


class CommandFault(Fault):
    """One command at its moment. However the run ends, it is ended and the healing runs."""

    def __init__(
        self,
        line: str,
        journal: Journal,
        records: FaultRecords,
        *,
        at: FireAt,
        heals: Sequence[str],
        heal_after_s: float | None,
        in_shell: bool,
        limit_s: float,
    ) -> None:
        self._journal = journal
        self._heals = tuple(heals)
        self._heal_after_s = heal_after_s
        self._in_shell = in_shell
        self._limit_s = limit_s
        self._environment = {"CHAOS_RUN": str(journal.run.path), "CHAOS_RUN_ID": journal.run.run_id}
        self._command = self._make(line)
        name = self._command.text[:80]
        record = records.add(name=name, action=f"command: {name}", at=str(at), exit_code=None)
        super().__init__(record, at=at, name=name)
        self._guard: subprocess.Popen[bytes] | None = None
        self._healing = RLock()

    def announce(self) -> None:
        """Note what is to be run."""
        self._journal.note_run("fault_planned", f"{self._command.text} at {self.at}")

    def why_refuse(self) -> str:
        """There is nothing to ask about a command beside what is asked of the load."""
        return ""

    @property
    def was_started(self) -> bool:
        """Whether it was."""
        return self._record["state"] is not None

    @property
    def is_over(self) -> bool:
        """Whether it has ended and, if there is a healing, that has."""
        return self._record["state"] in {"completed", "stopped", "failed"}

    def fire(self) -> None:
        """Run it, and after a while what heals it, if that is to be in the run."""
        self._record.learn(state="running", why_not=None)
        self._start_guard()
        self._note("fault_command_started", self._command.text)
        started_at = now()
        process = self._command.start()
        if isinstance(process, Ended):
            self._note("fault_command_ended", process.as_text)
            self._learn_end(process)
            self._end("failed")
            self._dismiss_guard()
            return
        self._tell_guard(group=self._command.group, began=self._command.began)
        self._record.learn(started_at=format_time(started_at))
        ended = self._command.follow(process)
        self._note("fault_command_ended", ended.as_text)
        self._learn_end(ended)
        state = "completed" if ended.code == 0 and not ended.is_cut else "failed"
        if not self._heals:
            self._end(state)
        elif self._heal_after_s is not None:
            gevent.sleep(self._heal_after_s)
            self._heal(state)

    def _learn_end(self, ended: Ended) -> None:
        """Keep what its end tells: with 0 it did its part, otherwise it failed and did not begin.

        Of one that we ended nothing is known.
        """
        if ended.is_cut:
            return
        if ended.code == 0:
            self._record.learn(exit_code=0)
        else:
            why = f"its command failed: {ended.as_text}"[:_REASON_AT_MOST]
            self._record.learn(exit_code=ended.code, started_at=None, why_not=why)

    def stop(self) -> None:
        """End the command and what it left running, and heal."""
        if not self.was_started:
            return
        self._command.end()
        if not self.is_over:
            self._heal("stopped")
        self._dismiss_guard()

    def _heal(self, state: str) -> None:
        with self._healing:
            if self.is_over:
                return
            for line in self._heals:
                heal = self._make(line)
                self._note("heal_command_started", heal.text)
                process = heal.start()
                ended = process if isinstance(process, Ended) else heal.follow(process)
                self._note("heal_command_ended", ended.as_text)
            self._end(state)

    def _end(self, state: str) -> None:
        self._record.learn(state=state, ended_at=format_time(now()))

    def _make(self, line: str) -> Command:
        return Command(
            line=line, in_shell=self._in_shell, limit_s=self._limit_s, environment=self._environment
        )

    def _note(self, event: str, detail: str) -> None:
        self._journal.note_run(event, detail)

    # --- the guard, which outlives us ---

    def _start_guard(self) -> None:
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "harness.faults.commands.healer"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._tell_guard(
            run=str(self._journal.run.path),
            heals=self._heals,
            in_shell=self._in_shell,
            limit_s=self._limit_s,
            environment=self._environment,
            group=None,
            began=time.time(),
        )

    def _tell_guard(self, **told: object) -> None:
        if self._guard is None or self._guard.stdin is None:
            return
        try:
            self._guard.stdin.write(json.dumps(told).encode() + b"\n")
            self._guard.stdin.flush()
        except OSError as error:
            self._note("fault_guard_lost", f"nobody heals if Locust is killed: {error}")
            self._guard = None

    def _dismiss_guard(self) -> None:
        self._tell_guard(farewell=True)
        guard, self._guard = self._guard, None
        if guard is not None and guard.stdin is not None:
            guard.stdin.close()
            guard.wait()
