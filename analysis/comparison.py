"""Two sides beside each other: what changed, and what may as well be noise. Pure.

A change is called one only where its interval leaves no change out. The largest time of a sample
has no interval that could be trusted (the bootstrap fails for extremes), so it is never called
changed; nor is what has no interval for want of data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from analysis.bootstrap import Interval, draw_weights, interval_of, percentile_of, weighted
from analysis.samples import ALL, Sample, Side

__all__ = ["MEASURES", "Change", "Compared", "Comparison", "compare"]

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
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A measure of an endpoint on both sides; `interval` is the run's own.

    `ratio` is run / base, None without a base to divide by; `ratio_interval` is that of the ratio,
    and `difference_interval` that of run - base.
    """

    endpoint: str
    measure: str
    base: float | None
    run: float | None
    interval: Interval | None
    ratio: float | None
    ratio_interval: Interval | None
    difference_interval: Interval | None
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A run against its base."""

    base: Side
    run: Side
    confidence: float
    rows: Sequence[Compared]

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
        Comparison(
            base=base,
            run=run,
            confidence=confidence,
            rows=_rows(base, run, of_base, _draws_of(run, salt=number), confidence),
        )
        for number, run in enumerate(runs, 1)
    ]


def _rows(
    base: Side,
    run: Side,
    of_base: Mapping[str, _Draws],
    of_run: Mapping[str, _Draws],
    confidence: float,
) -> list[Compared]:
    names = sorted({*base.samples, *run.samples}, key=lambda name: (name != ALL, name))
    rows = []
    for name in names:
        values = _values(base.samples.get(name)), _values(run.samples.get(name))
        for measure in MEASURES:
            draws = (
                of_base.get(name, {}).get(measure, ()),
                of_run.get(name, {}).get(measure, ()),
            )
            rows.append(
                _compared(
                    name, measure, (values[0][measure], values[1][measure]), draws, confidence
                )
            )
    return rows


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
    draws: tuple[Sequence[float | None], Sequence[float | None]],
    confidence: float,
) -> Compared:
    base, run = values
    pairs = [
        (before, after)
        for before, after in zip(*draws, strict=False)
        if before is not None and after is not None
    ]
    ratios = [after / before for before, after in pairs if before]
    differences = [after - before for before, after in pairs]
    has_base = len(ratios) == len(pairs)
    difference = interval_of(differences, confidence=confidence)
    return Compared(
        endpoint=endpoint,
        measure=measure,
        base=base,
        run=run,
        interval=interval_of(draws[1], confidence=confidence),
        ratio=run / base if base and run is not None else None,
        ratio_interval=interval_of(ratios, confidence=confidence) if has_base else None,
        difference_interval=difference,
        change=_change(measure, difference),
    )


def _change(measure: str, difference: Interval | None) -> Change:
    if difference is None:
        return Change.UNKNOWN
    if difference.holds(0):
        return Change.SAME
    is_more = difference.low > 0
    return Change.BETTER if is_more == (measure == "rps") else Change.WORSE


def _draws_of(side: Side, *, salt: int) -> dict[str, _Draws]:
    """Return what each measure of each endpoint came to in each draw."""
    if not side.phases:
        return {}
    weights = draw_weights(side.phases, salt=salt)
    return {
        name: _draws(sample, weights, side.width_s)
        for name, sample in side.samples.items()
        if sample.stretches is not None
    }


def _draws(sample: Sample, draws: Sequence[Sequence[int]], width_s: float) -> _Draws:
    stretches = sample.stretches
    if stretches is None:
        return {}
    found: dict[str, list[float | None]] = {"rps": [], "failures": []}
    for weights in draws:
        count = weighted(stretches.counts, weights)
        found["rps"].append(count / (len(weights) * width_s))
        failed = weighted(stretches.failures, weights)
        found["failures"].append(100 * failed / count if count else None)
    if stretches.times:
        for name, share in _SHARES.items():
            times = (percentile_of(stretches, share, weights) for weights in draws)
            found[name] = [None if time is None else time / 1e6 for time in times]
    return found
