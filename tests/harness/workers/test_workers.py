"""A master and workers that are processes of their own, as on several machines."""

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from analysis.evidence.ledger.line_records import LedgerClosed
from tests.harness.ledgers import recorded
from tests.harness.load import ROOT, Load, Locust, wait_until
from tests.harness.shop_server import Shop
from tests.harness.workers.wire import free_port, wire_to

pytestmark = pytest.mark.slow

UNDECIDED = 2  # what a run without a database comes to


def start_master(load: Load, shop: Shop, *arguments: str, workers: int) -> tuple[Locust, int]:
    port = free_port()
    address = ("--master-bind-host", "127.0.0.1", "--master-bind-port", str(port))
    expected = ("--expect-workers", str(workers))
    return load.start(shop.url, "--master", *address, *expected, *arguments), port


def copies(master: Locust) -> dict[str, bytes]:
    return {each.stem: each.read_bytes() for each in (master.run / "ledger").glob("*.jsonl")}


def originals(*workers: Locust) -> dict[str, bytes]:
    """What workers have kept in folders of their own."""
    files = [file for each in workers for file in each.run.glob("runs/*/ledger/*.jsonl")]
    return {each.stem: recorded(each) for each in files}


def _elsewhere(master: Locust) -> list[str]:
    """Run the rest of a command line where the run's directory is another, empty one."""
    master.run.mkdir(exist_ok=True)
    hide = f'mount -t tmpfs none "{master.run}" && exec "$@"'
    inside = ["unshare", "--mount", "sh", "-c", hide, "sh"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can take a worker's disk away")
    return inside


def test_a_worker_that_streams_and_one_that_shares_the_disk_lose_nothing(
    load: Load, shop: Shop
) -> None:
    master, port = start_master(load, shop, "-t", "2s", workers=2)
    near, far = load.start_worker(port), load.start_worker(port, inside=_elsewhere(master))
    assert master.wait() == UNDECIDED
    assert near.wait() == far.wait() == 0
    assert len(copies(master)) == 2
    assert not originals(near)
    ((name, original),) = originals(far).items()
    assert copies(master)[name] == original
    assert sum(isinstance(line, LedgerClosed) for line in master.ledger()) == 2
    assert set(master.sent()) == set(shop.attempt_ids())
    assert master.run_json()["incomplete_ledgers"] == []
    assert not (far.run / "runs" / "latest").exists()


def test_a_cut_wire_leaves_a_copy_that_is_equal_in_the_end(load: Load, shop: Shop) -> None:
    master, port = start_master(load, shop, "-t", "60s", "--stream-ledger", "always", workers=2)
    with wire_to(port) as wire:
        steady, cut_off = load.start_worker(port), load.start_worker(wire.port)
        wait_until(lambda: len(copies(master)) == 2)
        wire.cut()
        wait_until(lambda: "worker_died" in master.event_names())
        ((name, written),) = originals(cut_off).items()
        assert len(copies(master)[name]) < len(written)  # it orders on
        wire.restore()
        wait_until(lambda: "worker_returned" in master.event_names())
        wire.cut()  # so that it does not hear of the end at once
        master.tell(signal.SIGINT)
        wait_until(lambda: "run_stopping" in master.event_names())
        time.sleep(0.5)
        wire.restore()
        assert master.wait() == UNDECIDED
        assert "worker_late" not in master.event_names()
    whole = {**originals(steady), **originals(cut_off)}
    if master.event_names().count("worker_died") > 1:
        # On a busy machine the second cut outlasts the heartbeat: it is not waited for, and named.
        named = master.run_json()["incomplete_ledgers"]
        assert name in named
        for each, copy in copies(master).items():
            assert whole[each].startswith(copy)
            assert each in named or whole[each] == copy
        return
    assert copies(master) == whole
    assert set(master.sent()) == set(shop.attempt_ids())
    assert master.run_json()["incomplete_ledgers"] == []


def test_killed_workers_are_named_and_the_load_goes_on_until_the_last_of_them(
    load: Load, shop: Shop
) -> None:
    port = free_port()
    ports = ("--master-bind-port", str(port), "--master-port", str(port))
    master = load.start(shop.url, "--processes", "2", *ports, "-t", "250s", "-u", "12")
    wait_until(lambda: len(copies(master)) == 2)
    first, last = psutil.Process(master.process.pid).children()
    # Two come in mid-run, and either is given users.
    late = load.start_worker(port)
    wait_until(lambda: len(copies(master)) == 3)
    streaming = load.start_worker(port, inside=_elsewhere(master))
    wait_until(lambda: any(copies(master).get(name) for name in originals(streaming)))
    first.kill()
    late.kill_all()
    streaming.kill_all()
    wait_until(lambda: master.event_names().count("worker_died") == 3)
    before = len(shop.attempt_ids())
    wait_until(lambda: len(shop.attempt_ids()) > before + 5)
    last.kill()
    assert master.wait() == UNDECIDED  # long before its time is over: nobody is left
    assert master.event_names().count("worker_died") == 4
    ((name, original),) = originals(streaming).items()
    copy = copies(master)[name]
    assert original.startswith(copy)
    assert f"{name} sends no heartbeat; {len(copy)} bytes of its ledger are here" in master.errors
    assert master.run_json()["incomplete_ledgers"] == [name]
    # What the shop saw and the master lacks is the tail of that one ledger.
    missing = set(shop.attempt_ids()) - set(master.sent())
    assert all(each.encode() in original for each in missing)


SLOW = """
from pathlib import Path

import gevent
from locust import events


@events.test_start.add_listener
def wait(**_):
    while not Path({!r}).exists():
        gevent.sleep(0.05)
"""


def test_a_worker_that_comes_while_users_are_shared_out_has_users_afterwards(
    load: Load, shop: Shop, tmp_path: Path
) -> None:
    # Locust waits so long for the users that it has shared out, of whom a slow worker has some.
    load.environment["LOCUST_WAIT_FOR_WORKERS_REPORT_AFTER_RAMP_UP"] = "100"
    gate, slow = tmp_path / "gate", tmp_path / "slow.py"
    slow.write_text(SLOW.format(str(gate)), encoding="utf-8")
    log = tmp_path / "log"
    log.touch()
    master, port = start_master(
        load, shop, "-t", "200s", "-u", "6", "--logfile", str(log), workers=2
    )
    load.start_worker(port, "-f", f"{ROOT / 'locustfiles'},{slow}")
    load.start_worker(port)
    wait_until(lambda: copies(master))
    late = load.start_worker(port, inside=_elsewhere(master))
    wait_until(lambda: "(index 2) reported as ready" in log.read_text())
    gate.touch()
    wait_until(lambda: any(copies(master).get(name) for name in originals(late)))
    master.kill_all()


def test_the_last_workers_ledger_arrives_whole_when_it_is_told_to_end(
    load: Load, shop: Shop
) -> None:
    master, port = start_master(load, shop, "-t", "60s", "--stream-ledger", "always", workers=1)
    worker = load.start_worker(port)
    wait_until(lambda: len(shop.attempt_ids()) > 10)
    worker.tell(signal.SIGTERM)
    assert master.wait() == UNDECIDED
    worker.wait()
    assert copies(master) == originals(worker)
    assert master.run_json()["incomplete_ledgers"] == []
    assert "worker_late" not in master.event_names()
