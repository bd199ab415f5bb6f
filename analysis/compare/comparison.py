"""Two sides beside each other: what changed, and what may as well be noise. Pure.

A change is called one only where its interval leaves no change out, and "no change" is said only
where the whole interval is within a band of what makes no difference: anything else is not proven.
The largest time of a sample has no interval that could be trusted (the bootstrap fails for
extremes), so nothing is said of it; nor of what has no interval for want of data. Requests per
second follow from how many users there were: where those differ, they are not judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from math import isfinite

from analysis.compare.bootstrap import Interval, draw_weights, interval_of, percentile_of, weighted
from analysis.compare.differences import OF_RATES, Difference, differences_of, incomparable
from analysis.compare.locust_history import ALL
from analysis.compare.samples import Sample, Side

# Within this share of the base, or so many points of failures, two sides are the same.
SAME_SHARE, SAME_POINTS = 0.1, 1.0
_ROUNDING = 0.01  # times are drawn from cells that are half a percent wide to each side

_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
# name -> unit; more requests are better, more of anything else is worse
MEASURES = {
    "rps": "1/s",
    "failures": "%",
    **dict.fromkeys(_SHARES, "s"),
    "max": "s",
}


class Change(StrEnum):
    """What became of a measure."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "no change"
    NOT_PROVEN = "not proven"
    NOT_JUDGED = "not judged"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A measure of an endpoint on both sides; `interval` is the run's own.

    `ratio` is run / base, None without a base to divide by; `ratio_interval` is that of the ratio,
    and `difference_interval` that of run - base. `reason` says why the two cannot be compared,
    empty where they can.
    """

    endpoint: str
    measure: str
    base: float | None
    run: float | None
    interval: Interval | None = None
    ratio: float | None = None
    ratio_interval: Interval | None = None
    difference_interval: Interval | None = None
    change: Change = Change.UNKNOWN
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A run against its base."""

    base: Side
    run: Side
    confidence: float
    rows: Sequence[Compared]
    differences: Sequence[Difference] = ()

    def find(self, endpoint: str, measure: str) -> Compared | None:
        """Return a row; None if there is no such endpoint."""
        found = (row for row in self.rows if (row.endpoint, row.measure) == (endpoint, measure))
        return next(found, None)

    @property
    def endpoints(self) -> list[str]:
        """The endpoints of both sides, all requests together first."""
        return list(dict.fromkeys(row.endpoint for row in self.rows))


_Draws = Mapping[str, Sequence[float | None]]


def compare(base: Side, runs: Sequence[Side], *, confidence: float) -> list[Comparison]:
    """Compare each run with the base; `confidence` is that of the intervals, 0 to 1."""
    of_base = _draws_of(base, salt=0)
    return [
        _compared_sides(base, run, (of_base, _draws_of(run, salt=number)), confidence)
        for number, run in enumerate(runs, 1)
    ]


def _compared_sides(
    base: Side,
    run: Side,
    drawn: tuple[Mapping[str, _Draws], Mapping[str, _Draws]],
    confidence: float,
) -> Comparison:
    differences = differences_of(base.settings, run.settings)
    doubts = _doubts(base, run, incomparable(differences, OF_RATES))
    names = sorted({*base.samples, *run.samples}, key=lambda name: (name != ALL, name))
    rows = []
    for name in names:
        before, after = (_values(side.samples.get(name)) for side in (base, run))
        for measure in MEASURES:
            draws = [each.get(name, {}).get(measure, ()) for each in drawn]
            row = _compared(name, measure, (before[measure], after[measure]), draws, confidence)
            if why := doubts.get(measure):
                row = replace(row, change=Change.NOT_JUDGED, reason=why)
            rows.append(row)
    return Comparison(base=base, run=run, confidence=confidence, rows=rows, differences=differences)


def _doubts(base: Side, run: Side, other_demand: str) -> dict[str, str]:
    """Say by measure why it is not to be compared."""
    doubt = base.doubt or run.doubt
    doubts = dict.fromkeys(("rps", "failures"), doubt) if doubt else {}
    return {**doubts, "rps": other_demand} if other_demand else doubts


def _values(sample: Sample | None) -> dict[str, float | None]:
    if sample is None:
        return dict.fromkeys(MEASURES)
    return {
        "rps": sample.per_second,
        "failures": 100 * sample.failed / sample.count if sample.count else None,
        "p50": sample.p50_s,
        "p95": sample.p95_s,
        "p99": sample.p99_s,
        "max": sample.max_s,
    }


def _compared(
    endpoint: str,
    measure: str,
    values: tuple[float | None, float | None],
    draws: Sequence[Sequence[float | None]],
    confidence: float,
) -> Compared:
    base, run = values
    ratio = run / base if base and run is not None else None
    row = Compared(
        endpoint=endpoint,
        measure=measure,
        base=base,
        run=run,
        ratio=ratio if ratio is not None and isfinite(ratio) else None,
    )
    return row if base is None or run is None else _with_intervals(row, draws, confidence)


def _with_intervals(
    row: Compared, draws: Sequence[Sequence[float | None]], confidence: float
) -> Compared:
    """Return it with the intervals that hold its figures, or as it was where one does not."""
    base, run = row.base or 0.0, row.run or 0.0
    pairs = [
        (before, after)
        for before, after in zip(*draws, strict=False)
        if before is not None and after is not None
    ]
    differences = [after - before for before, after in pairs]
    interval = partial(interval_of, confidence=confidence)
    of_base_slack, own_slack = _ROUNDING * base, _ROUNDING * run
    own = interval(draws[1], around=run, slack=own_slack)
    of_base = interval(draws[0], around=base, slack=of_base_slack)
    difference = interval(differences, around=run - base, slack=of_base_slack + own_slack)
    if own is None or of_base is None or difference is None:
        return replace(row, interval=own)
    ratios = [after / before for before, after in pairs if before]
    of_ratio = None
    if row.ratio is not None and len(ratios) == len(pairs):
        of_ratio = interval(ratios, around=row.ratio, slack=2 * _ROUNDING * row.ratio)
    return replace(
        row,
        interval=own,
        ratio_interval=of_ratio,
        difference_interval=difference,
        change=_change(row.measure, difference, of_ratio),
    )


def _change(measure: str, difference: Interval, of_ratio: Interval | None) -> Change:
    if not difference.holds(0):
        is_more = difference.low > 0
        return Change.BETTER if is_more == (measure == "rps") else Change.WORSE
    if measure == "failures":
        is_small = difference.is_within(-SAME_POINTS, SAME_POINTS)
    elif of_ratio is None:
        is_small = difference.is_within(0, 0)
    else:
        is_small = of_ratio.is_within(1 - SAME_SHARE, 1 + SAME_SHARE)
    return Change.SAME if is_small else Change.NOT_PROVEN


def _draws_of(side: Side, *, salt: int) -> dict[str, _Draws]:
    """Return what each measure of each endpoint came to in each draw."""
    if not side.phases:
        return {}
    weights = draw_weights(side.phases, salt=salt)
    return {
        name: _draws(sample, weights, side.lengths_s)
        for name, sample in side.samples.items()
        if sample.stretches is not None
    }


def _draws(sample: Sample, draws: Sequence[Sequence[int]], lengths_s: Sequence[float]) -> _Draws:
    stretches = sample.stretches
    if stretches is None:
        return {}
    found: dict[str, list[float | None]] = {"rps": [], "failures": []}
    for weights in draws:
        count = weighted(stretches.counts, weights)
        found["rps"].append(count / weighted(lengths_s, weights))
        failed = weighted(stretches.failures, weights)
        found["failures"].append(100 * failed / count if count else None)
    if stretches.times:
        for name, share in _SHARES.items():
            times = (percentile_of(stretches, share, weights) for weights in draws)
            found[name] = [None if time is None else time / 1e6 for time in times]
    return found
