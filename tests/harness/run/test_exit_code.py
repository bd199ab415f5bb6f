"""What Locust ends with: the worse of what we found and what others say."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.lab.processes.ports import free_port
from tests.harness.load import ROOT, Load, Locust, wait_until
from tests.harness.programs import output_of
from tests.harness.shop_server import Shop

UNDECIDED = 2  # what a run without a database comes to
CODES = """
import json, sys
from locust.env import Environment
from harness.run.exit_code import ExitCode

found = []
for code, others in json.loads(sys.argv[1]):
    environment, ours = Environment(), ExitCode()
    ours.guard(environment)
    ours.of_run, environment.process_exit_code = code, others
    theirs_last = environment.process_exit_code
    ours.of_run = None
    ours.of_run = code
    found.append((theirs_last, environment.process_exit_code))
print(json.dumps(found))
"""
SAYS = """
from locust import events

@events.quitting.add_listener
def say(environment, **_):
    environment.process_exit_code = {}

@events.init.add_listener
def say_it_later_too(environment, **_):
    environment.events.quitting.add_listener(say)
"""


def test_the_worse_code_wins_whoever_writes_it_last() -> None:
    codes = {  # ours, theirs: what Locust reads
        (1, 0): 1,
        (2, 0): 2,
        (2, 1): 1,
        (0, 1): 1,
        (0, 3): 3,
        (2, 3): 2,
        (64, 1): 64,
        (70, 64): 70,
        (0, 0): 0,
        (None, 0): 0,
        (0, None): 0,
        (None, None): None,
    }
    found = json.loads(output_of(CODES, json.dumps(list(codes))))
    assert found == [[code, code] for code in codes.values()]


@pytest.mark.slow
@pytest.mark.parametrize("is_first", [True, False])
def test_listener_of_somebody_elses_may_make_the_code_worse(
    load: Load, shop: Shop, *, is_first: bool
) -> None:
    """That none makes it better is in test_runs.py."""
    theirs = load.folder / "theirs.py"
    theirs.write_text(SAYS.format(1))
    files = [str(theirs), str(ROOT / "locustfiles")]
    ordered = ",".join(files if is_first else reversed(files))
    # Ours would make it 0, unless another wrote after it.
    locust = load.start(shop.url, "-f", ordered, "--fail-on", "never", "-t", "60s")
    wait_until(lambda: shop.arrivals)
    locust.tell(signal.SIGTERM)
    assert locust.wait() == 1, locust.errors


@pytest.mark.slow
def test_workers_that_did_not_come_are_no_broken_data(load: Load, shop: Shop) -> None:
    port = free_port()
    wait = ("--expect-workers", "2", "--expect-workers-max-wait", "1")
    address = ("--master-bind-host", "127.0.0.1", "--master-bind-port", str(port))
    worker = load.start_worker(port)
    master = load.start(shop.url, "--master", *address, *wait)
    assert master.wait() == UNDECIDED
    assert master.errors.count("no load was run") == 1
    assert worker.wait() == 0


@pytest.mark.slow
def test_ctrl_c_ends_a_master_that_waits_for_workers(load: Load, shop: Shop) -> None:
    port = ("--master-bind-port", str(free_port()))
    master = load.start(shop.url, "--master", "--loglevel", "DEBUG", *port, "--logfile", "log")
    log = load.folder / "log"
    wait_until(lambda: log.exists() and "Waiting for workers" in log.read_text())
    master.tell(signal.SIGINT)
    assert master.wait() == UNDECIDED
    assert master.errors.count("no load was run") == 1


@pytest.mark.slow
def test_what_fails_before_the_load_is_an_unusable_argument(load: Load, shop: Shop) -> None:
    locust = load.start(shop.url, "--config-users", '{"user_class_name": "Nobody"}')
    assert locust.wait() == 64
    assert "Nobody" in locust.errors


@pytest.mark.slow
def test_json_is_alone_on_stdout_and_plain_locust_runs_anywhere(load: Load, shop: Shop) -> None:
    port = ("--master-bind-port", str(free_port()))
    process = subprocess.Popen(
        [
            *(str(Path(sys.executable).with_name("locust")), "-f", str(ROOT / "locustfiles")),
            *("--config", str(ROOT / "infra" / "experiments" / "stop-one-server.toml")),
            *("--fis-template=", "-H", shop.url, "-u", "10", "-r", "100", "--processes", "2"),
            *("--json", *port, "--master-port", port[1]),
        ],
        cwd=load.folder,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    done = Locust(process, load.folder)
    load.adopt(done)
    assert done.stop_when(shop.attempt_ids) == UNDECIDED, done.errors
    statistics = json.loads(done.output)
    assert {each["name"] for each in statistics} >= {"/products"}
    (run,) = (each for each in load.folder.glob("runs/*") if not each.is_symlink())
    assert f"run directory: runs/{run.name}\n" in done.errors
    assert "undecided" in done.errors
