"""The orders of a run that somebody has to look at, the worst first, with what is known of each.

Read from the files, so that it does not matter how many there are: the first are told, all of
them are counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.evidence.answers import BAD_REPLY
from analysis.evidence.records import Attempt, OrderRow, Outcome, Verdict, format_time
from analysis.evidence.tables import ATTEMPTS, ORDERS, Kind, RecordT, Table
from analysis.judging.finding_records import AttemptFinding, Basis
from analysis.verdict.judgement import Judgement
from analysis.verdict.stories import Step, steps_of_row

if TYPE_CHECKING:
    from analysis.evidence.sql.relations import Relations

# The worst first.
_WORST = (
    *(Verdict.LOST, Verdict.ALTERED, Verdict.CONTRADICTED),
    *(Verdict.DUPLICATE, Verdict.UNEXPECTED),
    *(Verdict.COMMITTED, Verdict.POSSIBLE),
)
_TOLD_AT_MOST = 50
# Whoever was answered with a success expects the order, and has it.
_WANTED = f"""verdict IN (SELECT unnest($wanted)) AND NOT (verdict = '{Verdict.COMMITTED}'
    AND coalesce(http_status BETWEEN 200 AND 299, false)
    AND (error = '' OR starts_with(error, '{BAD_REPLY}')))"""
WHAT_TO_DO = {
    Verdict.LOST: "The customer was told that it is placed, and there is no such row: place it.",
    Verdict.ALTERED: "The row differs from what the customer was told: ask them which they want.",
    Verdict.CONTRADICTED: "The customer was refused, and the row exists: cancel it, or tell them.",
    Verdict.DUPLICATE: "A second row for one order: cancel one of them.",
    Verdict.UNEXPECTED: "No attempt of this run explains the row: find out who ordered.",
    Verdict.COMMITTED: "The customer does not know that the order exists: tell them, or cancel it.",
    Verdict.POSSIBLE: "It cannot be told whether the order exists: ask the customer.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One order in need of attention; `steps` are the rungs of its evidence."""

    verdict: str
    what_to_do: str
    attempt_id: str
    order_key: str
    order_id: int | None
    product_id: int | None
    quantity: int | None
    total: str
    told: str
    evidence: str
    candidates: int | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """How many need attention, by verdict, and the first of them."""

    counts: Mapping[str, int]
    cases: Sequence[Case]

    @property
    def untold(self) -> int:
        """How many are not told here."""
        return sum(self.counts.values()) - len(self.cases)


def load_attention(relations: "Relations", judgement: Judgement) -> Attention:
    """Read of a judged run what needs attention."""
    wanted = [each.value for each in _WORST]
    ranked = dict(relations.select(_COUNTS, wanted=wanted))
    counts = {verdict: ranked[verdict] for verdict in wanted if verdict in ranked}
    selected = relations.select(_CASES, wanted=wanted, most=_TOLD_AT_MOST)
    found = [dict(zip(_CELLS, each, strict=True)) for each in selected]
    attempts = _records(relations, ATTEMPTS, "attempt_id", [each["attempt_id"] for each in found])
    rows: dict[object, OrderRow] = {}
    if "orders" in relations.names:
        rows = _records(relations, ORDERS, "id", [each["order_id"] for each in found])
    cases = [
        _case(each, attempts.get(each["attempt_id"]), rows.get(each["order_id"]), judgement)
        for each in found
    ]
    return Attention(counts=counts, cases=cases)


_COUNTS = f"""SELECT verdict, count(*) FROM reconciliation WHERE {_WANTED} GROUP BY verdict"""  # noqa: S608
_SHOWN = (
    *("verdict", "attempt_id", "order_key", "order_id", "product_id", "quantity"),
    *("evidence", "candidates"),
)
_CELLS = ("kind", "http_status", "error", *_SHOWN)
_CASES = f"""SELECT {", ".join(_CELLS)}
    FROM reconciliation WHERE {_WANTED}
    ORDER BY list_position($wanted, verdict), order_id, attempt_id, order_key LIMIT $most"""  # noqa: S608 -- of literals


def _records(
    relations: "Relations", table: Table[RecordT], by: str, wanted: Sequence[object]
) -> dict[object, RecordT]:
    """Return the records of these ids; of several with one id, the first."""
    file = table.file_name.removesuffix(".csv")
    there = [str(name) for name, *_ in relations.select(f"DESCRIBE {file}")]
    columns = [name for name in table.columns if name in there]
    ids = sorted({each for each in wanted if each not in {None, ""}}, key=str)
    if not ids:
        return {}
    query = f"SELECT {', '.join(columns)} FROM {file} WHERE {by} IN (SELECT unnest($ids))"  # noqa: S608
    read = table.reader(columns)
    records: dict[object, RecordT] = {}
    for values in relations.select(query, ids=ids):
        cells = [_cell(table, *each) for each in zip(columns, values, strict=True)]
        records.setdefault(values[columns.index(by)], read(cells))
    return records


def _cell(table: Table[RecordT], name: str, value: Any) -> str:
    if value is None:
        return ""
    return format_time(value) if table.columns[name].kind is Kind.TIME else str(value)


def _case(
    cells: Mapping[str, Any], attempt: Attempt | None, row: OrderRow | None, judgement: Judgement
) -> Case:
    shown, is_attempt = {name: cells[name] for name in _SHOWN}, cells["kind"] == "attempt"
    verdict = Verdict(shown["verdict"])
    steps: list[Step] = []
    if attempt is not None and is_attempt:
        finding = AttemptFinding(
            attempt=attempt,
            verdict=verdict,
            evidence=Basis(shown["evidence"]),
            row=row,
            candidates=shown["candidates"] or 0,
        )
        steps = judgement.story_of(finding)
    elif row is not None:
        steps = [*steps_of_row(row)]
    is_lost = verdict is Verdict.LOST  # the row that bears its id is another's
    return Case(
        **shown,
        what_to_do=WHAT_TO_DO[verdict],
        total="" if row is None or row.total is None or is_lost else f"{row.total:,.2f}",
        told=_told(attempt, cells["http_status"], cells["error"]) if is_attempt else "",
        steps=tuple(steps),
    )


def _told(attempt: Attempt | None, status: int | None, error: str) -> str:
    if attempt is not None and attempt.outcome is Outcome.ACKNOWLEDGED:
        return f"{status}: placed"
    return " ".join(part for part in (str(status) if status else "", error) if part) or "nothing"
