"""Each guard of the hook, against moto behind a gate: refused in one line, the load unharmed."""

from collections.abc import Callable, Iterator

import configargparse  # type: ignore[import-untyped]
import pytest
from moto.moto_api import state_manager

from harness.arguments.arguments import Settings, add_arguments
from harness.faults.fis.dry_run import rehearse
from tests.harness.cloud import Cloud, access
from tests.harness.gate import Gate, refuse
from tests.harness.load import Load, Locust, wait_until
from tests.harness.shop_server import Arrival, Shop, reply, serve

pytestmark = pytest.mark.slow

HELD = "--expect-account", "123456789012"


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with serve() as running:
        yield running


@pytest.fixture
def gate(open_gate: Gate, load: Load) -> Iterator[Gate]:
    load.environment.update(access(open_gate.url))
    yield open_gate
    open_gate.reset()
    state_manager.unset_transition("fis::experiment")


def test_a_dry_run_says_what_would_be_hit_rehearses_it_and_loads_nothing(
    load: Load, shop: Shop, gate: Gate, cloud: Cloud
) -> None:
    before = len(shop.arrivals)
    wanted = ("--target", "lab", "--fis-template", "hit-one@1s", "--fis-dry-run", *HELD)
    locust = load.start(shop.url, *wanted)
    assert locust.wait() == 0, locust.output + locust.errors
    assert "account 123456789012, us-east-1" in locust.output
    assert f"would stop 1 of {min(cloud.instances)} (us-east-1" in locust.output
    assert "and skipped its actions" in locust.output
    starts = [each for each in gate.calls if (each.method, each.path) == ("POST", "/experiments")]
    assert [b'"skip-all"' in each.body for each in starts] == [True]
    assert len(shop.arrivals) == before
    assert not locust.run.exists()


def test_a_guard_refuses_before_any_load_what_no_waiting_mends(
    load: Load, shop: Shop, gate: Gate
) -> None:
    other = ("--expect-account", "210987654321")
    locust = load.start(
        shop.url, "--target", "lab", "--fis-template", "hit-one@1s", "-t", "60s", *other
    )
    assert locust.wait() == 64
    assert "these credentials are of account 123456789012" in locust.errors
    assert gate.count("POST", "/experiments") == 0
    assert not (locust.run / "locust_stats.csv").exists()


@pytest.fixture
def rehearsed(
    shop: Shop, gate: Gate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """A dry run in this process: its exit code and what it says."""
    for name, value in access(gate.url).items():
        monkeypatch.setenv(name, value)

    def rehearse_with(*arguments: str) -> tuple[int, str]:
        parser = configargparse.ArgumentParser(prog="locust")
        add_arguments(parser)
        parser.add_argument("--config")  # which is Locust's own
        wanted = ("--target", "lab", "--fis-template", "hit-one@1s", *arguments)
        code = rehearse(Settings.from_options(parser.parse_args(wanted)), host=shop.url)
        return code, capsys.readouterr().out

    return rehearse_with


Rehearsed = Callable[..., tuple[int, str]]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--expect-account", "210987654321"), "these credentials are of account 123456789012"),
        (("--guard-tag", "Team=chaos"), "has no tag Team=chaos"),
    ],
)
def test_a_dry_run_refuses_what_no_waiting_mends(
    rehearsed: Rehearsed, gate: Gate, arguments: tuple[str, str], complaint: str
) -> None:
    code, said = rehearsed(*arguments)
    assert code == 64
    assert complaint in said
    assert gate.count("POST", "/experiments") == 0


def test_a_guard_that_cannot_be_checked_refuses_unless_it_is_switched_off_by_name(
    rehearsed: Rehearsed, gate: Gate
) -> None:
    gate.before = lambda call: (
        (403, "AccessDeniedException")
        if (call.method == "GET" and call.path.startswith("/experiments?"))
        or (call.method, call.path) == ("GET", "/experiments")
        else None
    )
    code, said = rehearsed()
    assert code == 2
    assert "cannot be checked: ClientError: An error occurred (AccessDenied" in said
    assert "--guard-off experiments does without it" in said
    code, said = rehearsed("--guard-off", "experiments")
    assert code == 0, said


def test_another_experiment_on_the_same_targets_refuses_and_the_load_goes_on(
    load: Load, shop: Shop, gate: Gate, cloud: Cloud
) -> None:
    state_manager.set_transition("fis::experiment", {"progression": "manual", "times": 1000})
    fis = cloud.client("fis")
    templates = fis.list_experiment_templates()["experimentTemplates"]
    both = next(each["id"] for each in templates if each["tags"]["Name"] == "hit-both")
    other = fis.start_experiment(experimentTemplateId=both, clientToken="x")["experiment"]["id"]
    try:
        locust = load.start(
            shop.url, "--target", "lab", "--fis-template", "hit-one@1s", "-t", "60s"
        )
        wait_until(lambda: "fis_refused" in _names(locust))
        arrived = len(shop.attempt_ids())
        locust.stop_when(lambda: len(shop.attempt_ids()) > arrived + 5)
        (why,) = (row["detail"] for row in locust.events() if row["event"] == "fis_refused")
        assert why.startswith(f"hit-one: another experiment, {other}, is pending on i-")
        assert locust.run_json()["fault"]["started_at"] is None
        assert _orders_after(locust, "fis_refused") > 0
    finally:
        state_manager.unset_transition("fis::experiment")
        fis.stop_experiment(id=other)
        while fis.get_experiment(id=other)["experiment"]["state"]["status"] != "stopped":
            pass


def test_a_shop_that_fails_already_is_not_harmed_further(
    load: Load, shop: Shop, gate: Gate
) -> None:
    def fail(connection: object, arrival: Arrival) -> bool:
        connection.sendall(reply("500 Internal Server Error", b"{}"))  # type: ignore[attr-defined]
        return True

    shop.misbehave = fail
    try:
        locust = load.start(
            shop.url, "--target", "lab", "--fis-template", "hit-one@2s", "-t", "60s"
        )
        locust.stop_when(lambda: "fis_refused" in _names(locust))
    finally:
        shop.misbehave = lambda _socket, _arrival: False
    (why,) = (row["detail"] for row in locust.events() if row["event"] == "fis_refused")
    assert why.startswith("hit-one: the shop fails already: ")
    assert "more than --baseline-errors 10.0%" in why
    assert gate.count("POST", "/experiments") == 0


def test_an_endpoint_that_refuses_everything_is_one_line_and_no_load(
    load: Load, shop: Shop, gate: Gate
) -> None:
    gate.before = refuse("fis", 403, "AccessDeniedException")
    locust = load.start(shop.url, "--target", "lab", "--fis-template", "hit-one@1s", "-t", "60s")
    assert locust.wait() == 64
    (line,) = [each for each in locust.errors.splitlines() if "cannot be read" in each]
    assert "AccessDeniedException" in line


def _names(locust: Locust) -> list[str]:
    return locust.event_names() if (locust.run / "events.csv").exists() else []


def _orders_after(locust: Locust, event: str) -> int:
    at = next(row["at"] for row in locust.events() if row["event"] == event)
    return sum(row["sent_at"] > at for row in locust.table("attempts.csv"))
