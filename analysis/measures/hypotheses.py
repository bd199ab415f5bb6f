"""What was believed of the shop before the run, measured and scored. Pure.

A hypothesis names a measure and what is tolerated. What cannot be measured is undecided.
"""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analysis.evidence.errors import UsageError
from analysis.evidence.records import RunVerdict
from analysis.evidence.run import HypothesisTable
from analysis.measures.hypothesis_measures import MEASURES, PHASES, Measured, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """A hypothesis and how it fared; `measured` is None where the evidence is missing."""

    id: str
    statement: str
    verdict: RunVerdict
    measured: float | None
    tolerated: dict[str, float]
    note: str = ""


def limits_in_words(tolerated: Mapping[str, float]) -> str:
    """Say what is tolerated, as in `at most 30`; empty if nothing is said of it."""
    return ", ".join(f"{name.replace('_', ' ')} {limit:g}" for name, limit in tolerated.items())


def check_hypotheses(tables: Iterable[HypothesisTable]) -> None:
    """Find before a run what could not be scored after it; UsageError lists what is known."""
    for table in tables:
        if complaint := _complaint(table):
            raise UsageError(f"hypothesis {table.id}: {complaint}")


def score(tables: Iterable[HypothesisTable], subject: Subject) -> list[Hypothesis]:
    """Score each hypothesis on a run; one that cannot be measured is undecided, with a note."""
    return [_score(table, subject) for table in tables]


def _score(table: HypothesisTable, subject: Subject) -> Hypothesis:
    complaint = _complaint(table)
    measured = Measured(note=complaint) if complaint else _measure(table, subject)
    tolerated = _tolerated(table)
    return Hypothesis(
        id=table.id,
        statement=table.statement,
        verdict=RunVerdict.UNDECIDED if complaint else _verdict(measured, tolerated),
        measured=measured.value,
        tolerated=tolerated,
        note=_note(measured, tolerated),
    )


def _tolerated(table: HypothesisTable) -> dict[str, float]:
    limits = {"at_most": table.at_most, "at_least": table.at_least}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _complaint(table: HypothesisTable) -> str:
    """Say what is wrong with a table, whatever the run was like; empty if nothing is."""
    measure = MEASURES.get(table.measure)
    if measure is None:
        return _unknown("measure", table.measure, MEASURES)
    if table.phase and table.phase not in PHASES:
        return _unknown("phase", table.phase, PHASES)
    if measure.choices and table.of not in measure.choices:
        return _unknown(measure.about, table.of, measure.choices)
    if table.percentile is not None and not 0 < table.percentile <= 100:  # noqa: PLR2004
        return f"its percentile is {table.percentile:g}; give one above 0 and up to 100"
    if not _tolerated(table):
        return "it does not say what is tolerated; give it at_most or at_least"
    return ""


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"there is no {what} {name!r}; there are {', '.join(known)}"


def _measure(table: HypothesisTable, subject: Subject) -> Measured:
    measure = MEASURES[table.measure]
    if measure.needs_fault and subject.missing_fault:
        return Measured(note=subject.missing_fault)
    try:
        return measure.take(subject, table)
    except Exception as error:  # noqa: BLE001 -- one measure must not take the others with it
        return Measured(note=f"the measuring failed: {type(error).__name__}: {error}")


def _verdict(measured: Measured, tolerated: dict[str, float]) -> RunVerdict:
    limit = tolerated.get("at_most")
    if measured.at_least is not None:
        is_over = limit is not None and measured.at_least > limit
        return RunVerdict.BROKEN if is_over else RunVerdict.UNDECIDED
    if measured.value is None:
        return RunVerdict.UNDECIDED
    exceeds = {"at_most": operator.gt, "at_least": operator.lt}
    if any(exceeds[name](measured.value, limit) for name, limit in tolerated.items()):
        return RunVerdict.BROKEN
    return RunVerdict.UNDECIDED if _is_too_short(measured, tolerated) else RunVerdict.HELD


def _is_too_short(measured: Measured, tolerated: dict[str, float]) -> bool:
    """Whether no run as short as this one could have shown more than is tolerated."""
    limit = tolerated.get("at_most")
    return limit is not None and measured.span_s is not None and measured.span_s <= limit


def _note(measured: Measured, tolerated: dict[str, float]) -> str:
    is_short = _verdict(measured, tolerated) is RunVerdict.UNDECIDED and _is_too_short(
        measured, tolerated
    )
    why = (
        f"it could not have been longer than {measured.span_s:g} s: the run ended"
        if is_short
        else ""
    )
    return "; ".join(filter(None, (measured.note, why)))
