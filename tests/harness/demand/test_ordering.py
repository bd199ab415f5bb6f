"""Arrivals and retries of one process, without a shop: what happens around the stop."""

import itertools
import time
from collections.abc import Callable, Sequence

import gevent
import pytest

from harness.customers.retries import Retries
from harness.demand.arrivals import Arrivals
from harness.demand.ordering import Desk
from harness.demand.plan import Part, Plan
from harness.demand.schedule import Spacing, parse_rate
from harness.demand.settings import OrderSettings
from harness.errors import NothingMore

SETTINGS = OrderSettings(
    quantity_max=3,
    arrival_rate=parse_rate("100"),
    arrivals=Spacing.CONSTANT,
    arrivals_open_max=50,
    retries=Retries(),
    watermark=False,
    watermark_window_s=60,
)
PLAN = Plan(seed=1, run_time_s=None, workers=("a", "b"))


class World:
    """Customers who take a while over an order, and all that is told of them."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.takes_s = takes_s
        self.products: Sequence[int] = [1, 2]
        self.customers = 0
        self.ordered: list[int] = []
        self.answered: list[int] = []
        self.turned_away: list[tuple[int, str]] = []
        self.notes: dict[str, str] = {}

    def new_customer(self) -> "World":
        self.customers += 1
        return self

    def look_for_products(self) -> Sequence[int]:
        return self.products

    def order_one_of(self, product_ids: Sequence[int], *, due_at: int) -> None:
        self.ordered.append(due_at)
        gevent.sleep(self.takes_s)
        self.answered.append(due_at)

    def turn_away(self, product_ids: Sequence[int], *, due_at: int, error: str) -> None:
        self.turned_away.append((due_at, error))

    def note(self, event: str, detail: str) -> None:
        self.notes[event] = detail

    def fail(self, error: BaseException) -> None:
        raise error

    def arrivals(self, *times_s: float) -> Arrivals:
        arrivals = Arrivals(
            iter(times_s),
            open_max=50,
            new_customer=self.new_customer,
            note=self.note,
            on_our_fault=self.fail,
        )
        arrivals.start()
        return arrivals


def until(is_so: Callable[[], object]) -> None:
    """Let greenlets run until something is so."""
    with gevent.Timeout(60):
        while not is_so():
            gevent.sleep(0.001)


def test_order_in_flight_at_the_stop_gets_its_time_to_end() -> None:
    world = World(takes_s=0.3)
    arrivals = world.arrivals(0.0, 0.01)
    until(lambda: len(world.ordered) == 2)
    arrivals.close(grace_s=30)
    assert len(world.answered) == len(world.ordered) == 2


def test_order_that_takes_longer_is_cut_off() -> None:
    world = World(takes_s=60)
    arrivals = world.arrivals(0.0)
    until(lambda: world.ordered)
    arrivals.close(grace_s=0)
    assert (len(world.ordered), len(world.answered)) == (1, 0)


def test_customer_who_is_idle_orders_again_and_one_who_is_stuck_does_not() -> None:
    idle, stuck = World(takes_s=0), World(takes_s=60)
    for world in (idle, stuck):
        arrivals = world.arrivals(*(each / 50 for each in range(10)))
        until(lambda world=world: len(world.ordered) == 10)  # type: ignore[misc]
        arrivals.close(grace_s=0)
    assert idle.customers < len(idle.ordered) == len(stuck.ordered) == 10
    assert stuck.customers == 11  # and the one who looks for products


def test_what_was_due_when_a_busy_process_stopped_is_recorded_as_unsent() -> None:
    world = World()
    arrivals = world.arrivals(0.5, 0.55, 0.6, 1000.0)
    until(lambda: "arrivals_began" in world.notes)
    time.sleep(0.7)  # nobody else has the processor
    arrivals.close(grace_s=0)
    assert not world.ordered
    assert [error for _, error in world.turned_away] == ["run_stopping"] * 3
    assert "3 not sent since the run was stopping" in world.notes["arrivals_ended"]
    assert "arrivals_late" not in world.notes  # which is of orders that were started


def test_process_that_starts_orders_late_says_so() -> None:
    world = World()
    arrivals = world.arrivals(0.5, 0.55)
    until(lambda: "arrivals_began" in world.notes)
    time.sleep(0.8)
    until(lambda: len(world.ordered) == 2)
    arrivals.close(grace_s=0)
    assert len(world.ordered) == 2
    assert "too much to do" in world.notes["arrivals_late"]


def test_nothing_is_due_before_the_shop_says_what_there_is() -> None:
    world = World()
    world.products = []
    arrivals = world.arrivals(0.0)
    until(lambda: "arrivals_waiting" in world.notes)
    gevent.sleep(0.1)
    assert "arrivals_began" not in world.notes
    world.products = [1]
    until(lambda: world.ordered)
    arrivals.close(grace_s=0)
    assert len(world.ordered) == 1


def test_ledger_that_takes_no_more_ends_the_arrivals_quietly() -> None:
    class Full(World):
        def order_one_of(self, product_ids: Sequence[int], *, due_at: int) -> None:
            raise NothingMore

        turn_away = order_one_of  # type: ignore[assignment]

    arrivals = Full().arrivals(0.0, 0.01)
    gevent.sleep(0.1)
    arrivals.close(grace_s=0)


@pytest.mark.parametrize("part", [Part(index=1, count=2), None])
def test_worker_without_a_part_orders_nothing_and_says_so(part: Part | None) -> None:
    world = World()
    desk = Desk(SETTINGS, PLAN, part, note=world.note)
    desk.start(world.new_customer, on_our_fault=world.fail)
    if part is None:
        gevent.sleep(0.3)
    else:
        until(lambda: world.ordered)
    desk.close(grace_s=1)
    assert bool(world.ordered) is (part is not None)
    assert ("worker_without_part" in world.notes) is (part is None)
    assert not desk.shoppers_order


def test_pause_before_a_retry_ends_with_the_run() -> None:
    desk = Desk(SETTINGS, PLAN, None, note=World().note)
    assert desk.pause(0.01)
    waiting = gevent.spawn(desk.pause, 3600)
    gevent.sleep(0.01)
    desk.stop()
    assert waiting.get(timeout=30) is False
    assert desk.pause(0) is False


def test_order_that_is_due_at_the_very_stop_is_sent_or_recorded() -> None:
    world = World(takes_s=60)
    arrivals = world.arrivals(*(each / 1000 for each in range(300)))
    gevent.sleep(0.1)
    arrivals.close(grace_s=0)
    dues = sorted([*world.ordered, *(due_at for due_at, _ in world.turned_away)])
    assert (
        f"{len(dues)} orders were due, {len(world.ordered)} sent" in world.notes["arrivals_ended"]
    )
    assert {later - earlier for earlier, later in itertools.pairwise(dues)} == {1000}


def test_shop_that_never_says_what_there_is_does_not_hold_up_the_stop() -> None:
    class Silent(World):
        def look_for_products(self) -> Sequence[int]:
            gevent.sleep(3600)
            return []

    world = Silent()
    arrivals = world.arrivals(0.0)
    gevent.sleep(0.01)
    with gevent.Timeout(60):
        arrivals.close(grace_s=0)
    assert world.notes["arrivals_ended"].startswith("0 orders were due")
