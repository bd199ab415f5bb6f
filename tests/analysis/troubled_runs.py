"""Random runs of an honest shop in a world that is not kind, with the truth of who made what.

Clocks that are off and drift, times kept coarsely or not at all, retries under the same key or new
ones that overtake each other, transactions that commit long after the client has gone, strangers,
servers that drop keys, proxies that change them, ledgers with holes, and rows that were not read.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from analysis.evidence.ledger.line_records import LedgerFindings
from analysis.evidence.records import Attempt, OrderRow, Outcome
from analysis.evidence.run import Before, Settle
from analysis.judging.evidence import Evidence
from tests.analysis.histories import (
    NOON,
    PRICES,
    SECOND,
    SETTLED,
    attempt,
    evidence,
    products_after,
    row,
    run,
)

GRAINS = (1, 1, 1, 1000, SECOND, 60 * SECOND, 3600 * SECOND)
OFFSETS = (0, 0, 1500, -2 * SECOND, 3600 * SECOND, -86_400 * SECOND)
ZONES = (0, 0, 3600 * SECOND, -19_800 * SECOND)
CELLS = ((1, 1), (1, 1), (2, 1), (1, 2))
FATES = ("answered", "answered", "silent", "silent", "lost", "refused", "dead", "unsent")
_OUTCOMES = {
    "answered": Outcome.ACKNOWLEDGED,
    "refused": Outcome.REJECTED,
    "unsent": Outcome.UNSENT,
}

Clock = Callable[[int], int]


@dataclass(slots=True)
class TroubledRun:
    """What was recorded of a run, and what is true of it: the row that each attempt made.

    `is_blind` is a shop that sells once more under the same key; `has_keys` one whose rows bear
    ours. `is_flawed` says that the evidence has a hole. Strangers' rows are always keyless where
    ours are.
    """

    attempts: list[Attempt] = field(default_factory=list)
    rows: list[OrderRow] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)
    strangers: set[int] = field(default_factory=set)
    is_blind: bool = False
    has_keys: bool = True
    is_flawed: bool = False
    lateness_s: float = 0.0
    case: Evidence = field(default_factory=lambda: evidence([], []))


@dataclass(slots=True, kw_only=True)
class _Sent:
    """An attempt and what became of it, in true times; `commits_at` None where it never arrives."""

    record: Attempt
    fate: str
    ended_at: int
    begins_at: int
    commits_at: int | None


def troubled_run(seed: int) -> TroubledRun:
    """Make a run; the same seed makes the same one."""
    chance = random.Random(seed)
    made = TroubledRun(is_blind=chance.random() < 0.4)
    sent = [
        each
        for number in range(chance.randint(1, 7))
        for each in _order(chance, f"o{number}", is_keyed=chance.random() < 0.6)
    ]
    rows, answers = _served(made, sent)
    rows += _strangers(chance)
    rows.sort(key=lambda each: (each.committed_at or 0, each.attempt_id))
    numbers = {each.attempt_id: number for number, each in enumerate(rows, 100)}
    ours = {each.record.attempt_id for each in sent}
    made.made = {name: number for name, number in numbers.items() if name in ours}
    made.strangers = {number for name, number in numbers.items() if name not in ours}
    told = {name: numbers[maker] for name, maker in answers.items()}
    _record(chance, made, sent, told)
    _store(chance, made, rows, numbers)
    _damage(chance, made)
    return made


def _order(chance: random.Random, key: str, *, is_keyed: bool) -> list[_Sent]:
    """Up to three attempts at an order; what a client has given up may still be on its way."""
    product_id, quantity = chance.choice(CELLS)
    process_id = chance.choice(("p1", "p1", "p2", "p3"))
    at = NOON + chance.randint(0, 100 * SECOND)
    found: list[_Sent] = []
    for number in range(chance.choice((1, 1, 2, 3))):
        fate = chance.choice(FATES)
        ended_at = at + chance.randint(2000, 5 * SECOND)
        begins_at = chance.randint(at + 500, ended_at - 500)
        commits_at: int | None = chance.randint(begins_at, ended_at - 100)
        if fate in ("silent", "dead"):
            delay = chance.choice((0, 0, 30 * SECOND, 90 * SECOND))
            begins_at += delay * chance.randint(0, 1)
            commits_at = max(begins_at, (commits_at or 0) + delay)
        if fate in ("lost", "refused", "unsent") or (fate == "dead" and chance.random() < 0.5):
            commits_at = None
        record = attempt(
            f"{key}-{number}",
            _OUTCOMES.get(fate, Outcome.INDETERMINATE),
            order_key=key if is_keyed else f"{key}-{number}",
            attempt_no=number + 1,
            process_id=process_id,
            product_id=product_id,
            quantity=quantity,
            retry_of="" if number == 0 else f"{key}-{number - 1}",
            sent_at=at,
        )
        found.append(
            _Sent(
                record=record,
                fate=fate,
                ended_at=ended_at,
                begins_at=begins_at,
                commits_at=commits_at,
            )
        )
        at = ended_at + chance.randint(1, 3 * SECOND)
    return found


def _served(made: TroubledRun, sent: list[_Sent]) -> tuple[list[OrderRow], dict[str, str]]:
    """Return the rows, and for each attempt that was answered the one whose row it was told of."""
    makers: dict[str, str] = {}
    rows, answers = [], {}
    for each in sorted(sent, key=lambda one: one.commits_at or 0):
        if each.commits_at is None:
            continue
        name = each.record.attempt_id
        key = name if made.is_blind else each.record.order_key
        if key not in makers:
            makers[key] = name
            rows.append(
                row(0, each.record, created_at=each.begins_at, committed_at=each.commits_at)
            )
            made.lateness_s = max(made.lateness_s, (each.begins_at - each.ended_at) / SECOND)
        if each.fate == "answered":
            answers[name] = makers[key]
    return rows, answers


def _strangers(chance: random.Random) -> list[OrderRow]:
    rows = []
    for number in range(chance.choice((0, 0, 0, 1, 3))):
        product_id, quantity = chance.choice((*CELLS, (2, 9)))
        at = NOON + chance.randint(0, 150 * SECOND)
        rows.append(
            row(
                0,
                product_id=product_id,
                quantity=quantity,
                total=PRICES[product_id] * quantity,
                created_at=at,
                committed_at=at,
                attempt_id=f"stranger{number}",
                order_key=f"their-order{number}",
            )
        )
    return rows


def _record(
    chance: random.Random, made: TroubledRun, sent: list[_Sent], told: dict[str, int]
) -> None:
    """Write down what the load generators saw, each by its own clock."""
    clocks = {name: _clock(chance) for name in ("p1", "p2", "p3")}
    names_orders = chance.random() < 0.85
    for each in sent:
        shown = clocks[each.record.process_id]
        was_sent = each.fate != "unsent" or chance.random() < 0.5
        made.attempts.append(
            replace(
                each.record,
                sent_at=shown(each.record.sent_at or 0) if was_sent else None,
                ended_at=None if each.fate == "dead" else shown(each.ended_at),
                order_id=told.get(each.record.attempt_id)
                if names_orders or chance.random() < 0.5
                else None,
            )
        )


def _clock(chance: random.Random) -> Clock:
    ahead, drift_ppm = chance.choice(OFFSETS), chance.randint(-400, 400)
    return lambda at: at + ahead + (at - NOON) * drift_ppm // 1_000_000


def _store(
    chance: random.Random, made: TroubledRun, rows: list[OrderRow], numbers: dict[str, int]
) -> None:
    """Keep of the rows what the shop's table has columns for, as its clock and proxy have it."""
    grain, zone = chance.choice(GRAINS), chance.choice(ZONES)
    keeps = chance.choice(("both", "both", "order_key", "attempt_id", "none", "none"))
    is_proxied = keeps != "none" and chance.random() < 0.15
    dropped, has_times = chance.choice((0, 0, 0, 0.3)), chance.random() < 0.9
    for each in rows:
        number = numbers[each.attempt_id]
        changes: dict[str, Any] = {"id": number, "committed_at": None, "created_at": None}
        if is_proxied:
            changes["attempt_id"] = f"proxy-{number}"
        is_dropped = chance.random() < dropped
        if is_dropped or keeps in ("none", "order_key"):
            changes["attempt_id"] = ""
        if is_dropped or keeps in ("none", "attempt_id"):
            changes["order_key"] = ""
        if has_times and chance.random() < 0.97:
            changes["created_at"] = ((each.created_at or 0) + zone) // grain * grain
        made.rows.append(replace(each, **changes))
    made.has_keys = not (keeps == "none" or (is_proxied and keeps == "attempt_id") or dropped)
    chance.shuffle(made.rows)


def _damage(chance: random.Random, made: TroubledRun) -> None:
    """Make a hole in the evidence, of which it is known, as the harness finds them."""
    products = products_after(made.rows)
    changes: dict[str, Any] = {}
    before = None
    hole = chance.choice(("none", "none", "none", "torn", "incomplete", "unsettled", "unread"))
    made.is_flawed = hole != "none"
    match hole:
        case "torn":
            made.attempts = [each for each in made.attempts if chance.random() < 0.8]
            changes["ledger"] = LedgerFindings(torn_lines=1)
        case "incomplete":
            made.attempts = [
                each for each in made.attempts if each.process_id != "p1" or chance.random() < 0.7
            ]
            changes["incomplete_ledgers"] = ("p1",)
        case "unsettled":
            told = {each.order_id for each in made.attempts}
            acknowledged = {
                each.order_key for each in made.attempts if each.outcome is Outcome.ACKNOWLEDGED
            }
            made.rows = [
                each
                for each in made.rows
                if each.id in told | made.strangers
                or _key_of(made, each.id) in acknowledged
                or chance.random() < 0.7
            ]
            products = products_after(made.rows)
            changes["settle"] = Settle(settled=False, waited_s=30.0)
        case "unread":
            highest = 100 + chance.randint(0, len(made.rows))
            older = [each for each in made.rows if each.id <= highest]
            made.rows = [each for each in made.rows if each.id > highest]
            made.is_flawed = bool(older)
            changes["older_rows"] = len(older)
            before = Before(max_order_id=highest, settle=SETTLED, products=())
    made.case = evidence(
        made.attempts, made.rows, run=run(**changes), products=products, before=before
    )


def _key_of(made: TroubledRun, number: int) -> str:
    makers = {name for name, its in made.made.items() if its == number}
    return next((each.order_key for each in made.attempts if each.attempt_id in makers), "")
