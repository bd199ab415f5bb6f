"""What retrying did: what was sold twice by it, and what keys kept from being sold twice. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal

from analysis.evidence.records import Attempt, OrderRow, Outcome, Verdict
from analysis.judging.finding_records import AttemptFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """Orders, their pieces and what they cost."""

    orders: int = 0
    pieces: int = 0
    value: Decimal = Decimal(0)

    def as_json(self) -> dict[str, object]:
        """Return the form that summary.json holds."""
        return {**asdict(self), "value": format(self.value, "f")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """The retries of a run.

    `wants` is how many things were asked for more than once. `sold_twice`: rows beyond the first
    that one want made, as blind retrying does. `saved`: wants whose retry, under the same key, was
    answered with the row of an earlier attempt that its customer had not been told of.
    `undecided` wants have an attempt of which it is open whether it made a row.
    """

    wants: int
    attempts: int
    sold_twice: Sold
    saved: Sold
    undecided: int

    def as_json(self) -> dict[str, object]:
        """Return the form that summary.json holds."""
        told = {"sold_twice": self.sold_twice.as_json(), "saved": self.saved.as_json()}
        return {**asdict(self), **told}


def measure_retries(findings: Iterable[AttemptFinding]) -> Retries | None:
    """Follow `retry_of` from attempt to attempt; None where nothing was tried again."""
    chains = [chain for chain in _chains(findings) if len(chain) > 1]
    if not chains:
        return None
    return Retries(
        wants=len(chains),
        attempts=sum(len(chain) - 1 for chain in chains),
        sold_twice=_sum(row for chain in chains for row in _rows(chain)[1:]),
        saved=_sum(row for chain in chains for row in _saved(chain)),
        undecided=sum(any(each.verdict is Verdict.POSSIBLE for each in chain) for chain in chains),
    )


def _chains(findings: Iterable[AttemptFinding]) -> list[list[AttemptFinding]]:
    """Bring the attempts of each want together, the first of them first."""
    by_id = {each.attempt.attempt_id: each for each in findings}
    chains: dict[str, list[AttemptFinding]] = defaultdict(list)
    for finding in by_id.values():
        chains[_first(finding.attempt, by_id)].append(finding)
    for chain in chains.values():
        chain.sort(key=lambda each: (each.attempt.attempt_no, each.attempt.attempt_id))
    return list(chains.values())


def _first(attempt: Attempt, by_id: dict[str, AttemptFinding]) -> str:
    seen = {attempt.attempt_id}
    while attempt.retry_of and attempt.retry_of in by_id and attempt.retry_of not in seen:
        seen.add(attempt.retry_of)
        attempt = by_id[attempt.retry_of].attempt
    return min(seen) if attempt.retry_of in seen else attempt.attempt_id


def _rows(chain: Iterable[AttemptFinding]) -> list[OrderRow]:
    """Return the rows of a want, each once, in the order of the attempts that made them."""
    rows: dict[int, OrderRow] = {}
    for finding in chain:
        if finding.row is not None and finding.verdict in (Verdict.CONFIRMED, Verdict.COMMITTED):
            rows.setdefault(finding.row.id, finding.row)
    return list(rows.values())


def _saved(chain: list[AttemptFinding]) -> list[OrderRow]:
    """Return the rows that a retry was told of, and an earlier attempt at the order had made."""
    told: list[OrderRow] = []
    made: dict[tuple[str, int], AttemptFinding] = {}
    for finding in chain:
        row, attempt = finding.own_row, finding.attempt
        if row is None:
            continue
        if finding.verdict is Verdict.COMMITTED:
            made[attempt.order_key, row.id] = finding
        elif attempt.outcome is Outcome.ACKNOWLEDGED and (attempt.order_key, row.id) in made:
            told.append(row)
    return told


def _sum(rows: Iterable[OrderRow]) -> Sold:
    every = list(rows)
    return Sold(
        orders=len(every),
        pieces=sum(row.quantity or 0 for row in every),
        value=sum((row.total or Decimal(0) for row in every), Decimal(0)),
    )
