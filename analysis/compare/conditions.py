"""What must not be: the conditions of `compare --fail-if`. Pure.

    condition = what comparison limit
    what      = measure "(" endpoint ")" | measure | verdict | "window(" window ")"
    measure   = p50 | p95 | p99 | max | rps | failures   (failures: percent of the requests)
    verdict   = confirmed | lost | committed | absent | ... (how many), as in summary.json
    window    = client | load_balancer | autoscaling
    comparison = > | >= | < | <=
    limit     = number [x | ms | s | %]                   (x: times the base's)

Without an endpoint a measure is of all requests. What is relative to the base may be noise:
where its interval reaches back over the limit, the condition is undecided; so it is where the two
cannot be compared: rates of other users, numbers of orders of other users or another run time. What
a run did in itself is as it was measured.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import ge, gt, le, lt

from analysis.compare.bootstrap import Interval
from analysis.compare.comparison import MEASURES, Compared, Comparison
from analysis.compare.differences import OF_COUNTS, incomparable
from analysis.compare.locust_history import ALL
from analysis.compare.samples import VERDICTS, WINDOWS
from analysis.evidence.errors import UsageError

_PATTERN = re.compile(
    r"\s*(?P<what>[a-z0-9_-]+)\s*(?:\((?P<of>.*)\))?\s*(?P<sign>>=|<=|>|<)\s*"
    r"(?P<limit>\d+(?:\.\d+)?)\s*(?P<unit>x|ms|s|%)?\s*"
)
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_TIMES = ("p50", "p95", "p99", "max")
_GRAMMAR = (
    "a condition is like 'p95(POST /orders) > 1.2x', 'failures > 5%', 'rps(GET /products) < 0.9x', "
    "'committed > 0' or 'window(client) > 30s'"
)


class Result(StrEnum):
    """Whether a condition is met."""

    MET = "met"
    NOT_MET = "not met"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition as it was written; `unit` is empty for a bare number."""

    text: str
    what: str
    of: str
    sign: str
    limit: float
    unit: str

    @property
    def is_relative(self) -> bool:
        """Whether it speaks of the base."""
        return self.unit == "x"

    def is_met_by(self, value: float) -> bool:
        """Whether a value, in seconds where it is a time, is beyond the limit."""
        return _SIGNS[self.sign](value, self.limit / 1000 if self.unit == "ms" else self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of a condition in a run, and what was measured, in words."""

    condition: str
    run: str
    result: Result
    measured: str


def parse_condition(text: str) -> Condition:
    """Return a condition; UsageError says what is wrong with it and what is allowed."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no condition; {_GRAMMAR}")
    condition = Condition(
        text=text.strip(),
        what=found["what"],
        of=(found["of"] or "").strip(),
        sign=found["sign"],
        limit=float(found["limit"]),
        unit=found["unit"] or "",
    )
    if complaint := _complaint(condition):
        raise UsageError(f"{text!r}: {complaint}; {_GRAMMAR}")
    return condition


def _complaint(condition: Condition) -> str:
    what, of = condition.what, condition.of
    units: tuple[str, ...]
    if what in MEASURES:
        units = (
            ("x", "ms", "s") if what in _TIMES else ("x", "%") if what == "failures" else ("x", "")
        )
    elif what == "window":
        if of not in WINDOWS:
            return f"there is no window {of!r}; there are {', '.join(WINDOWS)}"
        units = ("x", "ms", "s")
    elif what in VERDICTS:
        if of:
            return f"{what} is of the whole run and takes no endpoint"
        units = ("x", "")
    else:
        return f"there is no {what!r}; there are {', '.join((*MEASURES, 'window', *VERDICTS))}"
    if condition.unit not in units:
        known = ", ".join(unit or "no unit" for unit in units)
        return f"a limit of {what} has {known}, not {condition.unit or 'no unit'}"
    return ""


def check(condition: Condition, comparison: Comparison) -> Finding:
    """Check a condition in a comparison; UsageError if it names an endpoint that is not there."""
    interval, why_not = None, ""
    if condition.what in MEASURES:
        row = _row_of(condition, comparison)
        value = row.run
        if condition.is_relative:
            value, interval, why_not = _ratio(row.run, row.base), row.ratio_interval, row.reason
    else:
        value = _of_run(condition, comparison)
        if condition.is_relative and condition.what != "window":
            why_not = incomparable(comparison.differences, OF_COUNTS)
    measured = _in_words(condition, value, interval)
    return Finding(
        condition=condition.text,
        run=comparison.run.name,
        result=Result.UNDECIDED if why_not else _result(condition, value, interval),
        measured=f"{measured}, not comparable: {why_not}" if why_not else measured,
    )


def _row_of(condition: Condition, comparison: Comparison) -> Compared:
    row = comparison.find(condition.of or ALL, condition.what)
    if row is None:
        known = ", ".join(comparison.endpoints) or "none"
        raise UsageError(
            f"{condition.text!r}: there is no endpoint {condition.of!r}; there are {known}"
        )
    return row


def _of_run(condition: Condition, comparison: Comparison) -> float | None:
    sides = (comparison.base, comparison.run)
    if condition.what == "window":
        base, run = (side.windows.get(condition.of) for side in sides)
    else:
        base, run = (side.verdicts.get(condition.what) for side in sides)
    return _ratio(run, base) if condition.is_relative else run


def _ratio(run: float | None, base: float | None) -> float | None:
    """Return how many times the base the run is: of nothing, nothing is 1 and more is no number."""
    if run is None or base is None:
        return None
    if base:
        return run / base
    return float("inf") if run else 1.0


def _result(condition: Condition, value: float | None, interval: Interval | None) -> Result:
    if value is None:
        return Result.UNDECIDED
    is_met = condition.is_met_by(value)
    if interval is not None:
        ends = {condition.is_met_by(interval.low), condition.is_met_by(interval.high)}
        if ends != {is_met}:
            return Result.UNDECIDED if is_met else Result.NOT_MET
    return Result.MET if is_met else Result.NOT_MET


def _in_words(condition: Condition, value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "not measured on both sides" if condition.is_relative else "not measured"
    unit = "x" if condition.is_relative else condition.unit
    scale = 1000 if unit == "ms" else 1
    said = f"{value * scale:.3g}{unit}"
    if interval is not None:
        said += f" ({interval.low * scale:.3g} to {interval.high * scale:.3g})"
    return said
