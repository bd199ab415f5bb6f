"""A run from its start to its verdict, however it ends. Each test is a real Locust."""

import fcntl
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from analysis.evidence.ledger.line_records import LedgerClosed, RequestDone
from analysis.evidence.records import Outcome
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ATTEMPTS
from harness.errors import EXIT_USAGE
from infra.lab.processes.ports import free_port
from tests.harness.load import ROOT, Load, Locust, wait_until
from tests.harness.run.test_exit_code import SAYS
from tests.harness.shop_server import Shop, read_arrival, reply, serve, serve_connections

pytestmark = pytest.mark.slow

# A locustfile that takes so long just before Locust would start its users.
SLOW_TO_START = """
import time
from pathlib import Path
from locust import events
from locust.runners import WorkerRunner

@events.test_start.add_listener
def dawdle(environment, **_):
    if not isinstance(environment.runner, WorkerRunner):
        Path("dawdling").touch()
        time.sleep({})
events.test_start._handlers.insert(0, events.test_start._handlers.pop())
"""
UNDECIDED = 2  # what a run without a database comes to


def _lists_products_plainly(connection: socket.socket) -> None:
    with connection.makefile("rb") as stream:
        while read_arrival(stream, ("", 0)):
            connection.sendall(reply("200 OK", b'[{"id": 1}]'))


def test_products_that_are_not_understood_are_failures_and_said_once_with_what_is_what(
    load: Load,
) -> None:
    with serve_connections(_lists_products_plainly) as url:
        locust = load.start(url, "-t", "60s")
        wait_until((locust.run / "events.csv").exists)
        code = locust.stop_when(lambda: "products_not_understood" in locust.event_names())
    assert code == UNDECIDED
    why = (
        "expected an object with products, a list of objects with a whole number as id; got a list"
    )
    assert locust.errors.count(f"chaos-shop: GET /products: {why}\n") == 1
    said = " ".join(locust.output.split())
    assert f"note: products were not understood: GET /products: {why}" in said
    failures = locust.table("locust_failures.csv")
    assert f"bad_reply: {why}" in {
        each["Error"] for each in failures if each["Name"] == "/products"
    }


def test_plain_run_leaves_its_evidence_and_its_verdict(load: Load, shop: Shop) -> None:
    load.environment["CHAOS_RUN_FILE"] = "register"
    locust = load.start(shop.url, *_among_others(load, run_time_s=4), run_dir=False)
    assert locust.wait() == UNDECIDED
    run = (locust.run.parent / "runs" / "latest").resolve()
    locust.run = run
    _check_run_time(locust, 4)
    assert f"run directory: runs/{run.name}\n" in locust.output
    assert (run.parent.parent / "register").read_text() == f"{run}\n"
    assert run.name.endswith("-load")
    assert "200\n" in locust.output  # the prober's lines
    facts = locust.run_json()
    assert facts["target"] == "external"
    assert facts["ended_at"] > facts["started_at"]
    assert locust.event_names("harness")[:3] == ["run_started", "no_database", "users_spawned"]
    assert {"stats", "stats_history", "failures", "exceptions"} <= {
        path.stem.removeprefix("locust_") for path in run.glob("locust_*.csv")
    }
    assert len(locust.table("attempts.csv")) == len(shop.attempt_ids()) > 0
    assert _count(locust.table("locust_stats.csv"), "/orders") == len(shop.attempt_ids())
    assert {line.name for line in locust.ledger() if isinstance(line, RequestDone)} == {
        "/products",
        "/products (probe)",
        "/products/{id}",
        "/orders/{id}",
    }
    _check_headers(locust, shop)


def test_two_processes_write_two_ledgers_and_lose_nothing(load: Load, shop: Shop) -> None:
    kept = load.folder / "kept"  # of Locust's statistics; its workers would write it as well
    options = ("--processes", "2", "--evidence-format", "parquet", "--json-file", str(kept))
    locust = load.start(shop.url, *options, *_among_others(load, run_time_s=2))
    assert locust.wait() == UNDECIDED, locust.errors
    _check_run_time(locust, 2)
    assert len(locust.table("attempts.csv")) == len(shop.attempt_ids())
    statistics = json.loads(kept.with_suffix(".json").read_text())
    requests = sum(each["num_requests"] for each in statistics if each["name"] == "/orders")
    assert requests == len(shop.attempt_ids())
    assert len(list((locust.run / "ledger").iterdir())) == 2
    assert sum(isinstance(line, LedgerClosed) for line in locust.ledger()) == 2
    assert set(locust.sent()) == set(shop.attempt_ids())
    assert _count(locust.table("locust_stats.csv"), "/orders") == len(shop.attempt_ids())
    _check_parquet(locust)


def test_kill_9_loses_no_attempt_that_reached_the_shop(load: Load, shop: Shop) -> None:
    shop.misbehave = lambda _connection, _arrival: len(shop.attempt_ids()) > 20 and _hang()
    locust = load.start(shop.url, "-u", "40", "-t", "60s")
    wait_until(lambda: len(shop.attempt_ids()) > 30)
    locust.kill_all()
    time.sleep(0.5)
    assert set(shop.attempt_ids()) <= set(locust.sent())
    finish = [sys.executable, "-m", "analysis", "finish", str(locust.run)]
    done = subprocess.run(finish, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == UNDECIDED, done.stderr
    assert locust.run_json()["interrupted"]
    errors = {row["error"] for row in locust.table("attempts.csv")}
    assert errors == {"", "in_flight_at_stop"}


def test_workers_end_with_a_master_that_is_killed_and_nothing_is_lost(
    load: Load, shop: Shop
) -> None:
    locust = load.start(shop.url, "-t", "60s", "--processes", "2")
    wait_until(lambda: len(shop.attempt_ids()) > 10)
    workers = psutil.Process(locust.process.pid).children()
    locust.tell(signal.SIGKILL)
    # At once, as `make chaos-load` does: the workers are still ordering.
    finish = [sys.executable, "-m", "analysis", "finish", str(locust.run)]
    done = subprocess.run(finish, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == UNDECIDED, done.stderr
    _, alive = psutil.wait_procs(workers, timeout=45)  # by themselves: after a minute
    assert not alive
    recorded = {row["attempt_id"] for row in locust.table("attempts.csv")}
    assert recorded == set(shop.attempt_ids())


def test_workers_end_with_a_master_that_refuses_its_arguments(load: Load, shop: Shop) -> None:
    locust = load.start(
        shop.url, "--processes", "2", "--fis-template", "x", "--fis-at", "99s", "-t", "3s"
    )
    # Workers hold the pipes open: its end is the end of the last of them.
    assert locust.wait(within_s=50) == EXIT_USAGE  # Locust's own workers wait for a minute
    assert "the run ends after 3 s" in locust.errors


@pytest.mark.parametrize(("what", "processes"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_signal_ends_a_run_in_good_order_and_orders_get_their_time_to_end(
    load: Load, shop: Shop, what: signal.Signals, processes: int
) -> None:
    shop.latency_s = 0.8
    several = ("--processes", str(processes)) if processes > 1 else ()
    locust = load.start(shop.url, "-t", "60s", "-s", "20", "--fail-on", "never", *several)
    wait_until(lambda: len(shop.attempt_ids()) > len(shop.orders) > 3)
    locust.tell(what)
    assert locust.wait() == 0  # the verdict's exit code, which --fail-on never makes 0
    assert locust.run_json()["interrupted"]
    assert "run_interrupted" in locust.event_names("harness")
    assert sum(isinstance(line, LedgerClosed) for line in locust.ledger()) == processes
    assert len(locust.table("attempts.csv")) == len(shop.attempt_ids()) == len(shop.orders)
    assert {end.error for end in locust.ended().values()} == {""}


def test_orders_cut_off_by_the_stop_are_recorded_as_in_flight(load: Load, shop: Shop) -> None:
    shop.misbehave = lambda _connection, _arrival: len(shop.attempt_ids()) > 2 and _hang()
    locust = load.start(shop.url, "-s", "0", "-t", "60s", "--total-timeout", "60")
    locust.stop_when(lambda: len(shop.attempt_ids()) > 4)
    cut = [end for end in locust.ended().values() if end.error == "in_flight_at_stop"]
    assert cut
    assert {end.outcome for end in cut} == {Outcome.INDETERMINATE}
    assert set(shop.attempt_ids()) <= set(locust.sent())


def test_second_ctrl_c_leaves_the_evidence_and_says_how_to_go_on(load: Load, shop: Shop) -> None:
    locust = load.start(shop.url, "-t", "60s")
    wait_until(lambda: len(shop.attempt_ids()) > 5)
    other = locust.run / "ledger" / "other.jsonl"
    with other.open("xb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # so that `finish` has a process to wait for
        locust.tell(signal.SIGINT)
        wait_until(lambda: _has_child(locust, "finish"))
        locust.tell(signal.SIGINT)
        assert locust.wait() == UNDECIDED
    other.unlink()
    assert f"PYTHONPATH={ROOT} python -m analysis finish {locust.run} goes on" in locust.errors
    assert locust.run_json()["ended_at"]
    assert not (locust.run / "attempts.csv").exists()
    again = [sys.executable, "-m", "analysis", "finish", str(locust.run)]
    assert subprocess.run(again, cwd=ROOT, capture_output=True, check=False).returncode == UNDECIDED


def test_load_that_never_began_is_no_success(load: Load, shop: Shop) -> None:
    slow = load.folder / "slow.py"
    slow.write_text(SLOW_TO_START.format(3))
    locust = load.start(shop.url, "-f", f"{ROOT / 'locustfiles'},{slow}")
    wait_until((load.folder / "dawdling").exists)
    locust.tell(signal.SIGTERM)
    assert locust.wait() == UNDECIDED
    assert "no load was run: Locust ended before its users could start" in locust.errors
    assert not shop.arrivals


def test_a_run_that_begins_by_itself_has_its_run_time_and_ends_locust(
    load: Load, shop: Shop
) -> None:
    itself = ("--headful", "--autostart", "--autoquit", "0")
    port = ("--web-host", "127.0.0.1", "--web-port", str(free_port()))
    locust = load.start(shop.url, *_among_others(load, run_time_s=2), *port, *itself)
    assert locust.wait() == UNDECIDED, locust.errors
    _check_run_time(locust, 2)
    assert shop.arrivals
    assert len(locust.table("attempts.csv")) == len(shop.attempt_ids())


def test_a_run_that_begins_by_itself_and_ends_before_its_time_ends_locust(
    load: Load, shop: Shop
) -> None:
    itself = ("--headful", "--autostart", "--autoquit", "0", "-t", "600s")
    port = free_port()
    web = ("--web-host", "127.0.0.1", "--web-port", str(port))
    nowhere = ("--database-url", "postgresql://u@127.0.0.1:9/x", "--database-wait", "0")
    called_off = load.start(shop.url, *itself, *nowhere, "--web-port", str(free_port()))
    stopped = load.start(shop.url, *itself, *web)
    wait_until(lambda: len(shop.attempt_ids()) > 2)
    urllib.request.urlopen(f"http://127.0.0.1:{port}/stop", data=b"", timeout=30).close()
    assert called_off.wait() == EXIT_USAGE, called_off.errors
    assert stopped.wait() == UNDECIDED, stopped.errors
    assert stopped.run_json()["ended_at"]


def test_connection_refused_is_unsent_and_what_was_sent_is_not(load: Load) -> None:
    with serve() as shop:
        locust = load.start(shop.url, "-t", "60s")
        wait_until(lambda: len(shop.attempt_ids()) > 5)
    shop.misbehave = shop.misbehave_at_reads = lambda _socket, _arrival: True  # hang up
    locust.stop_when(lambda: any(end.outcome is Outcome.UNSENT for end in locust.ended().values()))
    unsent = {key for key, end in locust.ended().items() if end.outcome is Outcome.UNSENT}
    assert unsent
    assert {locust.ended()[key].error for key in unsent} == {"connect_refused"}
    assert not unsent & set(shop.attempt_ids())


def test_full_disk_stops_the_load_before_an_unrecorded_order(load: Load, shop: Shop) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    locustfile = load.folder / "limited.py"
    locustfile.write_text(
        f"from locustfiles.shoppers import Shopper\nfrom locust import events\n{ignore}"
        "@events.spawning_complete.add_listener\n"
        f"def limited(**_):\n    {limit}"
    )
    locust = load.start(shop.url, "-f", str(locustfile), "-t", "30s", "-u", "20")
    assert locust.wait() == 70
    assert "cannot write the ledger" in locust.errors
    assert set(shop.attempt_ids()) <= set(locust.sent())


def _among_others(load: Load, *, run_time_s: int) -> tuple[str, ...]:
    """Locustfiles before and after ours that write 0 as the exit code, and are slow to start.

    Users start when the run time would be over already; it counts from when they do.
    """
    first, last = load.folder / "first.py", load.folder / "last.py"
    first.write_text(SAYS.format(0))
    last.write_text(SAYS.format(0) + SLOW_TO_START.format(run_time_s + 1))
    return ("-t", f"{run_time_s}s", "-f", f"{first},{ROOT / 'locustfiles'},{last}")


def _check_run_time(locust: Locust, run_time_s: int) -> None:
    assert locust.run_json()["settings"]["run_time_s"] == run_time_s
    assert not locust.run_json()["interrupted"]
    assert "No run time limit" not in locust.errors


def _hang() -> bool:
    time.sleep(60)
    return True


def _has_child(locust: Locust, command: str) -> bool:
    children = psutil.Process(locust.process.pid).children()
    return any(command in each.cmdline() for each in children)


def _check_parquet(locust: Locust) -> None:
    """The large tables are stored as Parquet too, and hold the same."""
    stored = {each.name for each in locust.run.glob("*.parquet")}
    assert stored == {"attempts.parquet", "requests.parquet"}
    attempts = [each.attempt_id for each in RunDirectory(locust.run).read_table(ATTEMPTS)]
    assert attempts == [row["attempt_id"] for row in locust.table("attempts.csv")]
    assert locust.run_json()["settings"]["evidence_format"] == "parquet"


def _count(statistics: list[dict[str, str]], name: str) -> int:
    return sum(int(row["Request Count"]) for row in statistics if row["Name"] == name)


def _check_headers(locust: Locust, shop: Shop) -> None:
    """The headers carry the order and the attempt, and the ledger has both."""
    orders = [each for each in shop.arrivals if each.method == "POST"]
    assert orders
    for arrival in orders:
        attempt = locust.sent()[arrival.headers["x-request-id"]]
        digits = attempt.attempt_id.replace("-", "")
        assert arrival.headers["idempotency-key"] == attempt.order_key
        assert arrival.headers["x-amzn-trace-id"] == attempt.trace_id
        assert attempt.trace_id == f"Root=1-{digits[:8]}-{digits[8:]}"
        assert abs(int(digits[:8], 16) - time.time()) < 60
    assert len({each.headers["idempotency-key"] for each in orders}) == len(orders)
