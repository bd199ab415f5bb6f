"""The arguments about orders: what they mean, and that a wrong one is one line and 64."""

import configargparse  # type: ignore[import-untyped]
import pytest

from harness.arguments.arguments import add_arguments
from harness.customers.retries import RetryKind
from harness.demand.plan import Part, Plan
from harness.demand.schedule import Rate, Spacing
from harness.demand.settings import OrderSettings
from harness.errors import EXIT_USAGE, BadArgument


def settings(*arguments: str) -> OrderSettings:
    # Locust's is one of these, and cannot be imported without patching this process' sockets.
    parser = configargparse.ArgumentParser(prog="locust")
    add_arguments(parser)
    return OrderSettings.from_options(parser.parse_args(arguments))


def test_by_default_nothing_of_it_is_on() -> None:
    found = settings()
    assert found.arrival_rate is None
    assert found.retries.kind is RetryKind.NONE
    assert not found.watermark
    assert found.quantity_max == 3
    assert not found.is_shared_out


def test_environment_variables_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "CHAOS_ARRIVAL_RATE": "5..50",
        "CHAOS_ARRIVALS": "poisson",
        "CHAOS_RETRY": "keyed",
        "CHAOS_RETRY_ATTEMPTS": "7",
        "CHAOS_WATERMARK": "true",
        "CHAOS_ORDER_QUANTITY_MAX": "9",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = settings()
    assert found == settings(
        *("--arrival-rate", "5..50", "--arrivals", "poisson", "--retry", "keyed"),
        *("--retry-attempts", "7", "--watermark", "--order-quantity-max", "9"),
    )
    assert found.arrivals is Spacing.POISSON
    assert (found.retries.attempts_max, found.quantity_max, found.watermark) == (7, 9, True)


def test_watermarks_have_more_quantities_unless_told_otherwise() -> None:
    assert settings("--watermark").quantity_max == 50
    assert settings("--watermark", "--order-quantity-max", "5").quantity_max == 5


def test_ramp_goes_over_the_run_time_and_needs_one() -> None:
    found = settings("--arrival-rate", "5..50")
    assert found.rate_over(60) == Rate(begins=5, ends=50, over_s=60)
    with pytest.raises(BadArgument, match="needs a --run-time"):
        found.rate_over(None)
    assert settings("--arrival-rate", "20").rate_over(None) == Rate(begins=20, ends=20)


def test_more_processes_than_quantities_are_refused_for_watermarks_alone() -> None:
    few = settings("--watermark", "--order-quantity-max", "3")
    few.check(run_time_s=None, parts=3)
    with pytest.raises(BadArgument, match="4 processes too few watermarks"):
        few.check(run_time_s=None, parts=4)
    settings("--order-quantity-max", "3").check(run_time_s=None, parts=4)


def test_bound_is_shared_out_so_that_it_is_the_bound_of_all() -> None:
    shares = [Part(index=each, count=3).of(1000) for each in range(3)]
    assert shares == [334, 333, 333]
    assert [Part(index=each, count=3).of(2) for each in range(3)] == [1, 1, 1]


def test_worker_that_comes_late_has_no_part() -> None:
    plan = Plan(seed=1, run_time_s=None, workers=("a", "b"))
    assert plan.part_of("b") == Part(index=1, count=2)
    assert plan.part_of("c") is None
    assert plan.part_of(None) == Part()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--arrival-rate", "fast"), "neither a rate"),
        (("--arrival-rate", "0"), "not above 0"),
        (("--arrivals", "bursts"), "invalid choice"),
        (("--arrivals-open-max", "0"), "not a number from 1"),
        (("--retry", "always"), "invalid choice"),
        (("--retry-attempts", "none"), "invalid"),
        (("--retry-backoff", "-1"), "not a time in seconds"),
        (("--retry-after-max", "nan"), "not a time in seconds"),
        (("--watermark-window", "0"), "not a time in seconds"),
        (("--order-quantity-max", "0"), "not a number from 1"),
    ],
)
def test_wrong_argument_is_one_line_and_64(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        settings(*arguments)
    assert ended.value.code == EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert arguments[0] in line
