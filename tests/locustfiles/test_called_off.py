"""A run that is called off after its schedule has begun."""

import subprocess
import sys

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


def test_a_run_that_is_called_off_orders_nothing_more() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALLED_OFF],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["True", "0"]
