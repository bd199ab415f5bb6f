"""Ends at an odd moment: a run is called off as its orders flow, a worker is stopped twice."""

import pytest

from tests.harness.programs import output_of

CALLED_OFF = """
import gevent
from locust.env import Environment
from harness.customers.current_run import CurrentRun
from harness.record.ledger import NoLedger
from harness.record.recording import Recording
from harness.run.exit_code import ExitCode
from harness.run.master import MasterProcess
from tests.harness.demand.test_ordering import PLAN, SETTINGS, Desk, Part, World

world, environment = World(), Environment()
process = MasterProcess(environment, ExitCode(), None)
desk = Desk(SETTINGS, PLAN, Part(), note=world.note)
process.current = CurrentRun(None, Recording(NoLedger()), desk, note=world.note)
process.current.begin(environment, lambda _environment: world, on_our_fault=world.fail)
gevent.sleep(0.2)
before = len(world.ordered)
try:
    process._call_off()
except gevent.GreenletExit:
    after = len(world.ordered)
    gevent.sleep(0.2)
    print(before > 0, len(world.ordered) - after)
"""


# A fault of that run would hit the next one.
CALLED_OFF_WITH_A_FAULT = """
import sys
from pathlib import Path
import locust, gevent
from analysis.evidence.run_directory import RunDirectory
from harness.faults.commands.fault import CommandFault
from harness.faults.record import FaultRecords
from harness.faults.moment import parse_fire_at
from harness.faults.hook import Hook
from harness.record.journal import Journal
from harness.run.run import Run
from harness.run.run_time import RunClock

directory = RunDirectory.create(root=Path(sys.argv[1]) / "runs", experiment="test", at=1)
journal = Journal(directory, on_our_fault=lambda _error: None)
journal.update(fault=None)
records = FaultRecords(journal)
marks = [directory.path / name for name in "ab"]
faults = [
    CommandFault(f"touch {mark}", journal, records, at=parse_fire_at(at), heals=(),
                 heal_after_s=None, in_shell=False, limit_s=10)
    for mark, at in zip(marks, ("0.1s", "0s"))
]
hooks = [Hook([each], journal, pulse=None, guards=None, steady_limit_s=1) for each in faults]
run = Run(None, None, directory, journal, RunClock(None, lambda: None))
run.hook = hooks[0]
hooks[0].start(None)
run.call_off()
gevent.sleep(0.3)
print(marks[0].exists())
hooks[1].start(None)
with gevent.Timeout(30):
    while not marks[1].exists():
        gevent.sleep(0.01)
print("fired")  # as one that nobody calls off does
hooks[1].close()
"""
# The master's message and a Ctrl-C, say. What is delivered has to be the whole ledger, once.
STOPPED_TWICE = """
import sys
from pathlib import Path
import gevent
from harness.record.ledger import Ledger
from types import SimpleNamespace
from harness.workers.worker import WorkerProcess

path = Path(sys.argv[1]) / "p-1.jsonl"
environment = Environment()
runner = SimpleNamespace(client_id="1", environment=environment, send_message=lambda *_: None)
process = WorkerProcess(runner, ExitCode(), None)

class Delivery:
    def finish(self):
        print(path.read_text().splitlines()[-1].partition(",")[0])

process._part = Delivery()
ledger = Ledger(path, process_id="p-1", at=1)
desk = Desk(SETTINGS, PLAN, Part(), note=world.note)
process.current = CurrentRun(None, Recording(ledger), desk, note=world.note)
gevent.sleep(0.1)
gevent.joinall([gevent.spawn(process.on_test_stop) for _ in range(2)])
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What all of them print, one after the other in one process."""
    program = CALLED_OFF + CALLED_OFF_WITH_A_FAULT + STOPPED_TWICE
    return output_of(program, str(tmp_path_factory.mktemp("called-off"))).split()


def test_a_run_that_is_called_off_orders_nothing_more(told: list[str]) -> None:
    assert told[:2] == ["True", "0"]


def test_the_fault_of_a_run_that_is_called_off_never_comes(told: list[str]) -> None:
    assert told[2:4] == ["False", "fired"]


def test_a_worker_that_is_stopped_twice_delivers_its_closed_ledger_once(told: list[str]) -> None:
    assert told[4:] == ['["closed"']
