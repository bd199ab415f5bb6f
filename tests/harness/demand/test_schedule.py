"""When orders are due: as many as the rate says, and each in exactly one part."""

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.demand.schedule import Rate, Spacing, due_times, parse_rate

RATES = st.floats(0.1, 1000)
RAMPS = st.builds(
    Rate,
    begins=st.floats(0, 500),
    ends=st.floats(0, 500),
    over_s=st.floats(0.5, 1000),
).filter(lambda rate: rate.begins + rate.ends > 0.1)


def first(
    rate: Rate, count: int, spacing: Spacing = Spacing.CONSTANT, seed: int = 1
) -> list[float]:
    return list(itertools.islice(due_times(rate, spacing, seed=seed), count))


def test_constant_rate_is_evenly_spaced() -> None:
    assert first(parse_rate("4"), 4) == [0.25, 0.5, 0.75, 1.0]


def test_ramp_gets_denser() -> None:
    times = first(Rate(begins=0, ends=10, over_s=10), 50)
    assert times[-1] == pytest.approx(10)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == sorted(gaps, reverse=True)


def test_ramp_to_nothing_ends() -> None:
    assert len(first(Rate(begins=10, ends=0, over_s=10), 1000)) == 50


def test_rate_after_a_ramp_is_its_last() -> None:
    times = first(Rate(begins=1, ends=5, over_s=10), 60)
    later = [at for at in times if at > 10.5]
    assert len(later) > 10
    assert [b - a for a, b in itertools.pairwise(later)] == pytest.approx([0.2] * (len(later) - 1))


@given(RAMPS, st.floats(0.001, 3000))
def test_time_of_what_is_expected_by_then_is_then(rate: Rate, at_s: float) -> None:
    count = rate.expected(at_s)
    assume(count > 1e-3)
    assume(rate.over_s is not None and (at_s <= rate.over_s or rate.ends > 0.01))
    found = rate.time_of(count)
    assert found is not None
    # Where the rate is nearly nothing, many times have the same count.
    assert rate.expected(found) == pytest.approx(count, rel=1e-6)


@given(RAMPS, st.sampled_from(Spacing), st.integers(0, 2**32 - 1))
def test_orders_are_due_in_order(rate: Rate, spacing: Spacing, seed: int) -> None:
    times = first(rate, 200, spacing, seed)
    assert times == sorted(times)
    assert all(at >= 0 for at in times)


@given(RATES, st.sampled_from(Spacing), st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_parts_have_every_order_once(rate: float, spacing: Spacing, seed: int, parts: int) -> None:
    whole = first(Rate(begins=rate, ends=rate), 20 * parts, spacing, seed)
    each = [
        list(
            itertools.islice(
                due_times(Rate(begins=rate, ends=rate), spacing, seed=seed, part=part, parts=parts),
                20,
            )
        )
        for part in range(parts)
    ]
    assert sorted(itertools.chain.from_iterable(each)) == whole


@pytest.mark.parametrize("rate", [Rate(begins=50, ends=50), Rate(begins=10, ends=90, over_s=100)])
def test_poisson_keeps_the_rate_and_is_as_uneven_as_poisson(rate: Rate) -> None:
    counts = [
        sum(
            1
            for _ in itertools.takewhile(
                lambda at: at < 100, due_times(rate, Spacing.POISSON, seed=seed)
            )
        )
        for seed in range(40)
    ]
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / (len(counts) - 1)
    # 5000 expected of each; the mean's own deviation is 11, and the variance's a fifth of it.
    assert abs(mean - 5000) < 50
    assert 5000 / 2.5 < variance < 5000 * 2.5


@pytest.mark.parametrize("text", ["20", "0.5", "5..50", "50..5", "0..9.5", " 7 "])
def test_rate_is_read(text: str) -> None:
    low, _, high = text.strip().partition("..")
    assert parse_rate(text) == Rate(begins=float(low), ends=float(high or low))


@pytest.mark.parametrize(
    "text", ["", "0", "0..0", "-5", "5..", "..5", "1e9", "5...6", "inf", "nan"]
)
def test_nonsense_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="orders per second"):
        parse_rate(text)
