"""Ends at an odd moment: a run is called off as its orders flow, a worker is stopped twice."""

import subprocess
import sys
from pathlib import Path

from tests.locustfiles.load import ROOT

# In a process of its own: importing Locust changes the one that imports it.
CALLED_OFF = """
import gevent
from locustfiles._process import LoadProcess
from tests.locustfiles.test_desk import PLAN, SETTINGS, Desk, Part, World

world, process = World(), LoadProcess()
process._desk = Desk(SETTINGS, PLAN, Part(), note=world.note)
process._desk.start(lambda: world, on_our_fault=world.fail)
gevent.sleep(0.2)
before = len(world.ordered)
try:
    process._call_off()
except gevent.GreenletExit:
    after = len(world.ordered)
    gevent.sleep(0.2)
    print(before > 0, len(world.ordered) - after)
"""


# The master's message and a Ctrl-C, say. What is delivered has to be the whole ledger, once.
STOPPED_TWICE = """
import sys
from pathlib import Path
import gevent
from locustfiles._ledger import Ledger, LedgerKeeper
from locustfiles._process import LoadProcess

path = Path(sys.argv[1])
process = LoadProcess()

class Delivery:
    def finish(self):
        print(path.read_text().splitlines()[-1].partition(",")[0])

process._worker = Delivery()
process._ledger = Ledger(path, process_id="p-1", at=1)
process._keeper = LedgerKeeper(process._ledger)
gevent.sleep(0.1)
gevent.joinall([gevent.spawn(process.on_test_stop) for _ in range(2)])
"""


def test_a_run_that_is_called_off_orders_nothing_more() -> None:
    assert _run(CALLED_OFF) == ["True", "0"]


def test_a_worker_that_is_stopped_twice_delivers_its_closed_ledger_once(tmp_path: Path) -> None:
    assert _run(STOPPED_TWICE, str(tmp_path / "p-1.jsonl")) == ['["closed"']


def _run(program: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()
