"""Open arrivals by the real Locust: orders start when due, and none that was due is forgotten."""

import itertools
import json
import socket
import time
from collections import defaultdict
from typing import Any

import pytest

from analysis.evidence.ledger.line_records import AttemptSent
from analysis.evidence.records import Outcome, parse_time
from harness.demand.schedule import Rate, Spacing, due_times
from tests.harness.load import Load, Locust
from tests.harness.shop_server import Arrival, Shop

pytestmark = pytest.mark.slow


def stay_silent(connection: socket.socket, arrival: Arrival) -> bool:
    time.sleep(60)
    return True


def test_orders_start_when_due_however_many_are_stuck(load: Load, shop: Shop) -> None:
    shop.misbehave = stay_silent
    options = ("--arrival-rate", "40", "-u", "1", "-t", "60s", "--total-timeout", "30", "-s", "0")
    locust = load.start(shop.url, *options)
    locust.stop_when(lambda: len(shop.attempt_ids()) > 40)
    sent = [each for each in locust.sent().values() if each.sent_at is not None]
    assert len(sent) > 40
    assert {end.error for end in locust.ended().values()} <= {"in_flight_at_stop", "run_stopping"}
    dues = sorted(_due_at(each) for each in locust.sent().values())
    assert {later - earlier for earlier, later in itertools.pairwise(dues)} == {25_000}
    assert all(_due_at(each) <= (each.sent_at or 0) for each in sent)
    customers = [each.user_id for each in sent]
    assert len(set(customers)) == len(customers)  # nobody orders while stuck in an earlier order


def test_what_is_due_while_too_many_are_open_is_recorded_and_said(load: Load, shop: Shop) -> None:
    shop.misbehave = stay_silent
    options = ("--arrival-rate", "50", "--arrivals-open-max", "4", "-u", "2", "-s", "0")
    locust = load.start(shop.url, *options, "-t", "60s", "--total-timeout", "30")
    locust.stop_when(lambda: len(locust.sent()) > 40)
    ended = locust.ended()
    open_ones = [key for key, end in ended.items() if end.error == "in_flight_at_stop"]
    turned_away = [key for key, end in ended.items() if end.error == "too_many_open"]
    assert len(open_ones) == 4
    assert set(shop.attempt_ids()) <= set(open_ones)
    assert len(turned_away) > 10
    assert {ended[key].outcome for key in turned_away} == {Outcome.UNSENT}
    assert {locust.sent()[key].sent_at for key in turned_away} == {None}
    assert all(_due_at(locust.sent()[key]) for key in turned_away)
    names = locust.event_names("harness")
    assert names.count("arrivals_full") == names.count("arrivals_ended") == 1
    total = _detail(locust, "arrivals_ended")
    assert f"{len(ended)} orders were due, 4 sent, {len(turned_away)} not sent" in total
    assert "4 orders are open" in locust.errors
    _check_summary(locust, due=len(ended))


def test_two_processes_share_one_schedule_without_repeats_or_holes(load: Load, shop: Shop) -> None:
    options = ("--arrival-rate", "30..50", "--arrivals", "poisson", "--watermark", "-t", "20s")
    locust = load.start(shop.url, *options, "--processes", "2", "-u", "3")
    locust.stop_when(lambda: len(shop.attempt_ids()) > 100)
    plan = locust.run_json()["plan"]
    assert plan["processes"] == 2
    rate = Rate(begins=30, ends=50, over_s=20)
    wanted = [list(itertools.islice(_parts(rate, plan["seed"], part), 1000)) for part in range(2)]
    found = _dues_by_process(locust)
    assert len(found) == 2
    fitting = [
        [part for part in range(2) if _is_like(dues, wanted[part])] for dues in found.values()
    ]
    assert sorted(fitting) == [[0], [1]]
    assert "watermark_exhausted" not in locust.event_names()
    _check_shoppers_only_browsed(locust, shop)
    _check_no_two_can_be_mistaken(locust)


# --- what a run left behind ---


def _due_at(attempt: AttemptSent) -> int:
    assert attempt.due_at is not None
    return attempt.due_at


def _detail(locust: Locust, event: str) -> str:
    (found,) = [row["detail"] for row in locust.events("harness") if row["event"] == event]
    return found


def _parts(rate: Rate, seed: int, part: int) -> Any:
    return due_times(rate, Spacing.POISSON, seed=seed, part=part, parts=2)


def _dues_by_process(locust: Locust) -> dict[str, list[int]]:
    dues: dict[str, list[int]] = defaultdict(list)
    for row in locust.table("attempts.csv"):
        dues[row["process_id"]].append(parse_time(row["due_at"]))
    return {process: sorted(each) for process, each in dues.items()}


def _is_like(dues: list[int], times_s: list[float]) -> bool:
    """Whether these are the first of those times, whenever the process began."""
    assert len(dues) > 10
    began_at = dues[0] - round(times_s[0] * 1e6)
    return all(
        abs(due - began_at - at_s * 1e6) <= 2 for due, at_s in zip(dues, times_s, strict=False)
    )


def _check_summary(locust: Locust, *, due: int) -> None:
    """Locust's statistics count every order that was due, and the summary tells both latencies."""
    (row,) = [each for each in locust.table("locust_stats.csv") if each["Name"] == "/orders"]
    assert int(row["Request Count"]) == due - 4  # those cut off have fired no event
    latency = json.loads((locust.run / "summary.json").read_text())["latency"]
    assert (latency["from_due"]["count"], latency["from_sent"]["count"]) == (due, 4)
    assert latency["from_due"]["open"] == due
    assert "How long orders took" in locust.output


def _check_shoppers_only_browsed(locust: Locust, shop: Shop) -> None:
    rows = locust.table("attempts.csv")
    assert all(row["due_at"] for row in rows)
    assert {row["attempt_id"] for row in rows if row["sent_at"]} == set(shop.attempt_ids())
    assert sum(each.path.startswith("/products") for each in shop.arrivals) > 3


def _check_no_two_can_be_mistaken(locust: Locust) -> None:
    by_cell = defaultdict(list)
    for row in locust.table("attempts.csv"):
        if row["sent_at"]:
            times = (parse_time(row["sent_at"]), parse_time(row["ended_at"]), row["outcome"])
            by_cell[row["product_id"], row["quantity"]].append(times)
    assert any(len(times) > 1 for times in by_cell.values())
    for times_of_cell in by_cell.values():
        for earlier, later in itertools.pairwise(sorted(times_of_cell)):
            assert earlier[2] == "acknowledged"
            assert earlier[1] <= later[0]
