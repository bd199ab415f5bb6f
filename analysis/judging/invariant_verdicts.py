"""What became of each invariant in a run. Pure.

It is `broken` on proof, `held` only on whole evidence, and else `undecided` with the reason. A
check that raises is undecided too: it must not take the others with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from analysis.evidence.records import RunVerdict
from analysis.judging.evidence import Evidence
from analysis.judging.finding_records import Reconciliation
from analysis.judging.invariants import CHECKS, Case, Check
from analysis.judging.row_owners import rows_in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """An invariant and what became of it in this run."""

    id: str
    statement: str
    verdict: RunVerdict
    detail: str


def judge_invariants(evidence: Evidence, findings: Reconciliation) -> list[Invariant]:
    """Return every invariant with its verdict, in the order of the contract."""
    rows = rows_in_order(evidence.orders or ())  # what is said names the first of them
    case = None if evidence.orders is None else Case(evidence, findings, rows)
    if case is None:
        why = f"the orders table was not read ({evidence.run.unread or 'no orders.csv'})"
        return [
            Invariant(id=name, statement=statement, verdict=RunVerdict.UNDECIDED, detail=why)
            for name, statement, _ in CHECKS
        ]
    return [
        Invariant(id=name, statement=statement, verdict=verdict, detail=detail)
        for name, statement, check in CHECKS
        for verdict, detail in [_weigh(check, case)]
    ]


def worst(verdicts: Iterable[RunVerdict]) -> RunVerdict:
    """Merge verdicts: broken beats undecided beats held; nothing at all is undecided."""
    found = set(verdicts)
    for verdict in (RunVerdict.BROKEN, RunVerdict.UNDECIDED):
        if verdict in found:
            return verdict
    return RunVerdict.HELD if found else RunVerdict.UNDECIDED


def _weigh(check: Check, case: Case) -> tuple[RunVerdict, str]:
    try:
        finding = check(case)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the other checks must still run
        return RunVerdict.UNDECIDED, f"the check failed: {type(error).__name__}: {error}"
    if finding.broken:
        return RunVerdict.BROKEN, finding.broken
    doubts = [*finding.doubts, *_general_doubts(case.evidence, case.findings)]
    if doubts:
        return RunVerdict.UNDECIDED, "; ".join(dict.fromkeys(doubts))
    return RunVerdict.HELD, finding.held


def _general_doubts(evidence: Evidence, findings: Reconciliation) -> list[str]:
    """Say what keeps any invariant of this run from being called held."""
    doubts = list(evidence.gaps)
    if findings.repeated_ids:
        doubts.append(f"{findings.repeated_ids} attempt ids occur more than once")
    if evidence.run.older_rows:
        doubts.append(
            f"{evidence.run.older_rows} rows were added with ids from before the run, and not read"
        )
    if evidence.run.settle is None:
        doubts.append("it is not known whether the database had come to rest when it was read")
    elif not evidence.is_settled:
        still_open = len(evidence.run.settle.waited_for)
        why = f"{still_open} transactions were open" if still_open else "orders were being added"
        doubts.append(f"the database had not come to rest when it was read: {why}")
    return doubts
