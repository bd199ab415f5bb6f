"""`python -m tests.soak [--rounds N] [--seed S]`: rounds of kill -9, as many as are asked for.

Exit code 0 if all were played and none found anything wrong, and 1 otherwise.
"""

import argparse
import queue
import secrets
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from rich.console import Console
from rich.table import Table

from infra.lab.database.postgres import Postgres
from infra.lab.processes.guard import Guard
from tests.harness.forked_locust import end_fork_servers
from tests.soak.lane import Lane
from tests.soak.rounds import KINDS, Finding, Round, late_orders, play

LANES = 2


class Soak:
    """Rounds in two lanes, until all are played or the time is up."""

    def __init__(self, rounds: list[Round], lanes: list[Lane], *, limit_s: float) -> None:
        self.findings: list[Finding] = []
        self._lanes = lanes
        self._number = len(rounds)
        self._give_up_at = time.monotonic() + limit_s
        self._waiting: queue.SimpleQueue[Round] = queue.SimpleQueue()
        for each in rounds:
            self._waiting.put(each)

    def run(self) -> None:
        """Play them all."""
        threads = [threading.Thread(target=self._work, args=(lane,)) for lane in self._lanes]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def _work(self, lane: Lane) -> None:
        played: list[Finding] = []
        while time.monotonic() < self._give_up_at:
            try:
                which = self._waiting.get_nowait()
            except queue.Empty:
                break
            finding = play(which, lane)
            played.append(finding)
            self.findings.append(finding)
            _tell(finding, len(self.findings), self._number)
        for finding in played:  # the shop has had all the time it can want
            if late := late_orders(finding, lane):
                finding.problems.append(f"{len(late)} attempts judged absent have a row now")


def main(arguments: list[str]) -> int:
    """Play, and show what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), metavar="S")
    parser.add_argument("--limit", type=float, default=1800, metavar="SECONDS")
    options = parser.parse_args(arguments)
    print(f"soak: {options.rounds} rounds, --seed {options.seed}", flush=True)
    rounds = [Round.draw(options.seed, number) for number in range(options.rounds)]
    kept = Path(tempfile.mkdtemp(prefix="chaos-shop-soak-"))
    kept.chmod(0o755)  # root's PostgreSQL runs as another user
    with Guard() as guard:
        postgres = Postgres(folder=kept / "postgres", guard=guard)
        postgres.start()
        lanes = [Lane(kept / f"lane-{n}", guard, _database(postgres, n)) for n in range(LANES)]
        try:
            for lane in lanes:
                lane.wait_until_healthy()
            soak = Soak(rounds, lanes, limit_s=options.limit)
            soak.run()
        finally:
            for lane in lanes:
                lane.close()
            end_fork_servers()
            postgres.stop()
            guard.remove_folder(kept / "postgres")
        wrong = sum(bool(each.problems) for each in soak.findings)
        if not wrong:
            guard.remove_folder(kept)
    _show(soak.findings)
    if len(soak.findings) < options.rounds:
        print(f"soak: the time was up after {len(soak.findings)} of {options.rounds} rounds")
    if wrong:
        print(f"soak: what the {wrong} wrong rounds left is in {kept}")
    return int(wrong > 0 or len(soak.findings) < options.rounds)


def _database(postgres: Postgres, number: int) -> str:
    name = f"lane_{number}"
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER shop".encode())
    return urlunsplit(urlsplit(postgres.url)._replace(path=f"/{name}"))


def _tell(finding: Finding, done: int, of: int) -> None:
    which = finding.round
    print(
        f"soak: {done}/{of}  #{which.number} {which.kind}: {finding.attempts} attempts,"
        f" {finding.in_flight} in flight, {finding.rows} rows, {finding.verdict},"
        f" {finding.took_s:.1f} s{'  WRONG: ' if finding.problems else ''}"
        + "; ".join(finding.problems),
        flush=True,
    )


def _show(findings: list[Finding]) -> None:
    table = Table(
        "what is killed", "rounds", "attempts", "in flight", "committed", "rows", "torn", "wrong"
    )
    for kind in (*KINDS, ""):
        some = [each for each in findings if kind in ("", each.round.kind)]
        table.add_row(
            kind or "all",
            *(
                f"{number:,}"
                for number in (
                    len(some),
                    sum(each.attempts for each in some),
                    sum(each.in_flight for each in some),
                    sum(each.committed for each in some),
                    sum(each.rows for each in some),
                    sum(each.torn for each in some),
                    sum(bool(each.problems) for each in some),
                )
            ),
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
