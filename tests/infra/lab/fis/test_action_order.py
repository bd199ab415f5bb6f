"""The order of an experiment's actions, and durations."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.lab.fis.duration import seconds_of
from infra.lab.fis.templates.action_order import Order, parallel, ready, stuck
from tests.infra.lab.fis.fis_account import orders


def ancestors(order: Order, name: str) -> set[str]:
    found: set[str] = set()
    todo = list(order[name])
    while todo:
        each = todo.pop()
        if each not in found:
            found.add(each)
            todo += order[each]
    return found


@given(orders(with_circles=True))
def test_those_are_stuck_that_wait_for_a_circle(order: dict[str, list[str]]) -> None:
    in_circles = {name for name in order if name in ancestors(order, name)}
    waiting = {name for name in order if ancestors(order, name) & in_circles}
    assert set(stuck(order)) == waiting


@given(orders(with_circles=False), st.data())
def test_each_action_begins_once_after_all_it_starts_after(
    order: dict[str, list[str]], data: st.DataObject
) -> None:
    over: list[str] = []
    acting: list[str] = []
    while len(over) < len(order):
        for name in ready(order, over=over, begun=acting):
            assert set(order[name]) <= set(over)
            acting.append(name)
        done = data.draw(st.sampled_from([each for each in acting if each not in over]))
        over.append(done)
    assert sorted(acting) == sorted(order)


@given(orders(with_circles=False))
def test_parallel_is_the_largest_set_of_actions_none_of_which_awaits_another(
    order: dict[str, list[str]],
) -> None:
    def may_run_together(names: tuple[str, ...]) -> bool:
        return not any(a in ancestors(order, b) for a in names for b in names)

    largest = max(
        size
        for size in range(1, len(order) + 1)
        if any(may_run_together(names) for names in combinations(order, size))
    )
    assert parallel(order) == largest


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT30S", 30), ("PT5M", 300), ("PT1H30M", 5400), ("PT12H", 43200), ("P1DT1S", 86401)],
)
def test_a_duration_is_so_many_seconds(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "5M", "PT5", "PT0S", "PT-5M", "pt5m", "P1DT", "5"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an ISO 8601 duration"):
        seconds_of(text)
