"""What all maximum matchings of spans and points have in common, against looking at them all."""

import random
import time
from math import inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analysis.judging.keyless.inference import Span, Use, infer
from tests.examples import examples

RANDOM = examples(200)
ALWAYS, SOMETIMES, NEVER = Use.ALWAYS, Use.SOMETIMES, Use.NEVER


def maximum_matchings(spans: list[Span], points: list[int | None]) -> set[frozenset[int]]:
    """The sets of spans that maximum matchings use, found by trying everything."""
    used: set[frozenset[int]] = {frozenset()}
    for point in points:
        used |= {
            done | {number}
            for done in used
            for number, span in enumerate(spans)
            if number not in done and span.holds(point)
        }
    largest = max(map(len, used))
    return {each for each in used if len(each) == largest}


def use_in(matchings: set[frozenset[int]], number: int) -> Use:
    users = sum(number in each for each in matchings)
    return ALWAYS if users == len(matchings) else SOMETIMES if users else NEVER


TIMES = st.integers(0, 8)
SPANS = st.builds(
    Span,
    st.one_of(TIMES, st.just(-inf)),
    st.one_of(TIMES, st.just(inf)),  # some end before they begin, and hold nothing
)
POINTS = st.lists(st.one_of(TIMES, TIMES, TIMES, st.none()), max_size=6)


@RANDOM
@given(st.lists(SPANS, max_size=6), POINTS)
@example([Span(0, 1), Span(1, 2), Span(5, inf)], [1, None])
@example([Span(0, inf), Span(3, inf)], [0, 4, 4])
def test_it_agrees_with_all_maximum_matchings(spans: list[Span], points: list[int | None]) -> None:
    matchings = maximum_matchings(spans, points)
    found = infer(spans, points)
    assert found.uses == [use_in(matchings, number) for number in range(len(spans))]
    assert found.size == len(next(iter(matchings)))


@RANDOM
@given(st.lists(SPANS, max_size=6), POINTS)
def test_the_points_it_covers_can_be_covered_and_the_rest_not_as_well(
    spans: list[Span], points: list[int | None]
) -> None:
    found = infer(spans, points)
    covered = [at for at, is_covered in zip(points, found.is_covered, strict=True) if is_covered]
    assert len(next(iter(maximum_matchings(spans, covered)))) == len(covered)
    for at, is_covered in zip(points, found.is_covered, strict=True):
        if not is_covered:
            more = maximum_matchings(spans, [*covered, at])
            assert len(next(iter(more))) == len(covered)


@RANDOM
@given(st.lists(SPANS, max_size=8), POINTS, st.randoms(use_true_random=False))
def test_the_order_of_spans_and_points_does_not_matter(
    spans: list[Span], points: list[int | None], shuffler: random.Random
) -> None:
    expected = dict(zip(map(repr, spans), infer(spans, points).uses, strict=True))
    shuffler.shuffle(spans)
    shuffler.shuffle(points)
    assert dict(zip(map(repr, spans), infer(spans, points).uses, strict=True)) == expected


def test_as_many_rows_as_attempts_make_all_of_them_certain() -> None:
    assert infer([Span(0), Span(1), Span(2)], [3, 3, 3]).uses == [ALWAYS] * 3


def test_a_row_that_two_may_have_made_leaves_both_open() -> None:
    assert infer([Span(0), Span(1), Span(9)], [3]).uses == [SOMETIMES, SOMETIMES, NEVER]


def test_an_attempt_that_alone_explains_a_row_is_certain_though_others_are_open() -> None:
    # Row 0 came before any but the first was sent; the others have one row between them.
    assert infer([Span(0), Span(1), Span(2)], [0, 3]).uses == [ALWAYS, SOMETIMES, SOMETIMES]


def test_of_rows_too_many_the_number_is_exact() -> None:
    found = infer([Span(0), Span(4)], [1, 2, 3, None, 5])
    assert (found.size, found.uses) == (2, [ALWAYS, ALWAYS])


@pytest.mark.parametrize("late", [10, inf], ids=["late window", "no end"])
def test_the_time_it_takes_grows_no_faster_than_n_log_n(late: float) -> None:
    def seconds(attempts: int) -> float:
        chance = random.Random(7)
        spans = [Span(at, at + late) for at in range(attempts)]
        points: list[int | None] = [chance.randrange(attempts) for _ in range(attempts * 3 // 10)]
        best = inf
        for _ in range(3):
            began = time.process_time()
            infer(spans, points)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(40_000) < 30 * seconds(4_000)  # n log n: 13 times; n squared: 100 times
