"""Looks attempts in doubt up in the orders table while the run goes on, by key, within bounds.

The database is asked by a process of `analysis`, which lives as long as the run has doubts. What
goes wrong with it is shown, and never disturbs the run.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

from harness.record.counts_by_second import Doubt
from harness.record.reported_counts import LiveFleet

_ROOT = Path(__file__).resolve().parents[2]
_ASK_EVERY_S = 3.0
_KEYS_AT_ONCE = 1_000
_PATIENCE_S = 15.0  # connecting may take ten, and the question two


class Resolution:
    """Which of the doubts of a run have committed so far, by cause."""

    def __init__(self, fleet: LiveFleet, *, database_url: str, gather: Callable[[], None]) -> None:
        """`gather` brings what is new into the fleet before its doubts are looked at."""
        self._fleet = fleet
        self._database_url = database_url
        self._gather = gather
        self._committed: set[str] = set()
        self._next = 0
        self._process: subprocess.Popen[str] | None = None
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._asked_at: float | None = None
        self._trouble = "" if database_url else "there is no --database-url to look them up in"

    def start(self) -> None:
        """Ask every few seconds from now on."""
        self._greenlet = gevent.spawn(self._watch)

    def close(self) -> None:
        """End; the run's database belongs to its last snapshot now."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None
        self._end_process()

    def as_dict(self) -> dict[str, Any]:
        """Return how many have committed, by cause, when that was asked last, and what is wrong."""
        committed: dict[str, int] = {}
        for attempt_id in self._committed:
            cause = self._fleet.doubts[attempt_id].cause
            committed[cause] = committed.get(cause, 0) + 1
        return {
            "committed": committed,
            "total": len(self._committed),
            "asked_s_ago": None if self._asked_at is None else time.monotonic() - self._asked_at,
            "trouble": self._trouble,
        }

    def _watch(self) -> None:
        while True:
            gevent.sleep(_ASK_EVERY_S)
            self._gather()
            asked = self._choose()
            if asked and self._database_url:
                self._ask(asked)

    def _choose(self) -> list[Doubt]:
        """Return those that were not found yet; where they are many, some after the others."""
        still = [
            each for each in self._fleet.doubts.values() if each.attempt_id not in self._committed
        ]
        if len(still) <= _KEYS_AT_ONCE:
            return still
        self._next %= len(still)
        chosen = (still + still)[self._next : self._next + _KEYS_AT_ONCE]
        self._next += _KEYS_AT_ONCE
        return chosen

    def _ask(self, doubts: list[Doubt]) -> None:
        try:
            with gevent.Timeout(_PATIENCE_S):
                answer = self._exchange([each.order_key for each in doubts])
        except (OSError, ValueError, gevent.Timeout) as error:
            self._end_process()
            self._trouble = f"the orders table did not answer ({type(error).__name__})"
            return
        self._trouble = str(answer.get("error", ""))
        if not self._trouble:
            self._asked_at = time.monotonic()
            self._find(doubts, {(str(key), str(attempt)) for key, attempt in answer["rows"]})

    def _find(self, doubts: list[Doubt], rows: set[tuple[str, str]]) -> None:
        """Take a row for the attempt whose id it bears; without one, for any with its key."""
        for doubt in doubts:
            if rows & {(doubt.order_key, doubt.attempt_id), (doubt.order_key, "")}:
                self._committed.add(doubt.attempt_id)

    def _exchange(self, keys: list[str]) -> dict[str, Any]:
        process = self._process
        if process is None or process.poll() is not None:
            process = self._process = self._start_process()
        if process.stdin is None or process.stdout is None:
            raise OSError("it has no pipes")
        process.stdin.write(json.dumps(keys) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        if not isinstance(answer, dict):
            raise ValueError("the answer is no object")
        return answer

    def _start_process(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "analysis.database.resolution"],
            cwd=_ROOT,
            env={**os.environ, "DATABASE_URL": self._database_url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
