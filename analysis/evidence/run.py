"""What run.json and the first snapshot say, as records. Pure; unknown fields are left alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from analysis.evidence.errors import EvidenceError, UsageError
from analysis.evidence.ledger.line_records import LedgerFindings
from analysis.evidence.records import format_time, parse_time

_SHOWN_CHARACTERS = 200
_NONSENSE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)

# Unless a user says otherwise: to wait for the database to come to rest, and to come back.
SETTLE_LIMIT_S = 30.0
DATABASE_WAIT_S = 60.0

# What an experiment is before any of its actions can have begun.
_NOT_YET = frozenset({"pending", "initiating"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Whether the database had come to rest before it was read.

    `database_time` is when that was, by the database's own clock, in microseconds.
    """

    settled: bool
    waited_s: float
    open_transactions: tuple[Mapping[str, Any], ...] = ()
    database_time: int | None = None

    @property
    def waited_for(self) -> list[Mapping[str, Any]]:
        """The transactions that may still have added orders."""
        return [each for each in self.open_transactions if each.get("waited_for", True)]

    @property
    def idle(self) -> list[Mapping[str, Any]]:
        """Those from before the run that had done nothing since, and could write nothing."""
        return [each for each in self.open_transactions if not each.get("waited_for", True)]

    def as_json(self) -> dict[str, object]:
        """Return the form that run.json and summary.json hold."""
        known = self.database_time
        return {
            "settled": self.settled,
            "waited_s": self.waited_s,
            "open_transactions": [dict(each) for each in self.open_transactions],
            **({} if known is None else {"database_time": format_time(known)}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action of an experiment as it was last seen.

    It `has_begun` by FIS's own clock, and `has_acted` if it was ever seen to be at work or done.
    """

    id: str
    name: str
    state: str
    has_begun: bool
    has_acted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault that was asked for: a FIS experiment or a command. Times in microseconds.

    `started_at` is when it began to act. `asked_at` is when FIS, or the machine, was asked for it
    (`was_asked` where the time is not known). `why_not` says why it did not happen, where whoever
    was to fire it knew that. `actions` is None where they were not recorded, as in older runs.
    """

    experiment_id: str = ""
    action: str = ""
    targets: tuple[str, ...] = ()
    started_at: int | None = None
    ended_at: int | None = None
    number: int = 1
    name: str = ""
    at: str = ""
    state: str = ""
    reason: str = ""
    why_not: str = ""
    was_asked: bool = False
    asked_at: int | None = None
    exit_code: int | None = None
    actions: tuple[Action, ...] | None = None

    @property
    def is_command(self) -> bool:
        """Whether it is a command of the user's, and no experiment."""
        return self.action.startswith("command: ")

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or self.action or self.experiment_id or f"fault {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How the load balancer finds out that a server is dead."""

    interval_s: float
    timeout_s: float
    unhealthy_threshold: int

    @property
    def best_s(self) -> float:
        """The server dies just before a check and refuses at once."""
        return (self.unhealthy_threshold - 1) * self.interval_s

    @property
    def worst_s(self) -> float:
        """It dies just after a check, and every check has to time out."""
        return self.unhealthy_threshold * self.interval_s + self.timeout_s


@dataclass(frozen=True, slots=True, kw_only=True)
class HypothesisTable:
    """One `[[hypothesis]]` table of the experiment.

    `of` is what a measure is told beside the requests: the window, the invariant or the verdict
    that it is about. `phase` is the part of the run, empty for the measure's own.
    """

    id: str
    statement: str
    measure: str
    at_most: float | None
    at_least: float | None
    requests: tuple[str, ...] = ()
    phase: str = ""
    percentile: float | None = None
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """run.json. Times in microseconds.

    `incomplete_ledgers` names the processes whose ledger may lack what they did last.
    `older_rows` came to be during the run with ids from before it: orders.csv lacks them.
    `money` is the types of the columns that hold it; `unread` why orders.csv is missing.
    `fault` is the first of `faults` that began, or else the first.
    `load_balancers` are those in front of the shop, as their access logs name them, if known.
    """

    run_id: str
    started_at: int | None
    ended_at: int | None
    target: str
    host: str
    experiment: str
    interrupted: bool
    settle: Settle | None
    hypotheses: tuple[HypothesisTable, ...]
    fault: Fault | None
    health_check: HealthCheck | None
    ledger: LedgerFindings
    incomplete_ledgers: tuple[str, ...] = ()
    older_rows: int = 0
    money: Mapping[str, str] = field(default_factory=dict)
    unread: str = ""
    database_wait_s: float = DATABASE_WAIT_S
    faults: tuple[Fault, ...] = ()

    @property
    def asked_for(self) -> tuple[Fault, ...]:
        """Every fault that was asked for."""
        return self.faults or ((self.fault,) if self.fault else ())

    load_balancers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The snapshot taken before the run. `read_from` is the database and the tables, as text."""

    max_order_id: int
    settle: Settle | None
    products: tuple[Mapping[str, Any], ...]
    order_count: int | None = None
    read_from: Mapping[str, str] = field(default_factory=dict)


def parse_run(content: Mapping[str, Any]) -> Run:
    """Return run.json's content as a record; EvidenceError says which field is wrong."""
    try:
        return _parse_run(content)
    except _NONSENSE as error:
        raise EvidenceError(_complaint("run.json", error)) from error


def parse_hypotheses(tables: Iterable[Mapping[str, Any]]) -> tuple[HypothesisTable, ...]:
    """Return an experiment's `[[hypothesis]]` tables as records; UsageError if one is none."""
    try:
        return tuple(_parse_hypothesis(each) for each in tables)
    except _NONSENSE as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"makes no sense: {error}"
        raise UsageError(f"a [[hypothesis]] {what[:_SHOWN_CHARACTERS]}") from error


def parse_before(content: Mapping[str, Any]) -> Before:
    """Return snapshot_before.json's content as a record; EvidenceError if it is not one."""
    try:
        return Before(
            max_order_id=int(content["max_order_id"]),
            settle=_parse_settle(content.get("settle")),
            products=tuple(content["products"]),
            order_count=_maybe_count(content.get("order_count")),
            read_from=_texts(content.get("read_from")),
        )
    except _NONSENSE as error:
        raise EvidenceError(_complaint("snapshot_before.json", error)) from error


def _complaint(file_name: str, error: Exception) -> str:
    what = f"lacks {error}" if isinstance(error, KeyError) else f"cannot be understood: {error}"
    return f"{file_name} {what[:_SHOWN_CHARACTERS]}; restore it as the run wrote it"


def _parse_run(content: Mapping[str, Any]) -> Run:
    faults = _parse_faults(content)
    begun = [each for each in faults if each.started_at is not None]
    first = min(begun, key=lambda each: each.started_at or 0, default=faults[0] if faults else None)
    return Run(
        run_id=str(content["run_id"]),
        started_at=_maybe_time(content.get("started_at")),
        ended_at=_maybe_time(content.get("ended_at")),
        **_named_texts(content, "target", "host", "experiment", "unread"),
        interrupted=bool(content.get("interrupted")),
        settle=_parse_settle(content.get("settle")),
        hypotheses=tuple(_parse_hypothesis(each) for each in content.get("hypotheses") or ()),
        fault=first,
        faults=faults,
        health_check=_parse_health_check(content.get("health_check")),
        ledger=_parse_findings(content.get("ledger") or {}),
        incomplete_ledgers=tuple(str(each) for each in content.get("incomplete_ledgers") or ()),
        older_rows=int(content.get("older_rows") or 0),
        money=_texts(content.get("money")),
        database_wait_s=_wait_asked_for(content),
        load_balancers=tuple(str(each) for each in content.get("load_balancers") or ()),
    )


def _wait_asked_for(content: Mapping[str, Any]) -> float:
    asked = (content.get("settings") or {}).get("database_wait_s")
    return DATABASE_WAIT_S if asked is None else _finite(asked)


def _texts(content: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(name): str(value) for name, value in (content or {}).items()}


def _named_texts(content: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: str(content.get(name) or "") for name in names}


def _maybe_count(value: object) -> int | None:
    return None if value is None else int(str(value))


def _maybe_time(text: str | None) -> int | None:
    return parse_time(text) if text else None


def _parse_settle(content: Mapping[str, Any] | None) -> Settle | None:
    if not content:
        return None
    return Settle(
        settled=content["settled"] is True,
        waited_s=_finite(content.get("waited_s") or 0),
        open_transactions=tuple(dict(each) for each in content.get("open_transactions") or ()),
        database_time=_maybe_time(content.get("database_time")),
    )


def _parse_faults(content: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Return the faults that were recorded, and those that were planned and never got so far."""
    recorded = list(content.get("faults") or filter(None, [content.get("fault")]))
    faults = [_parse_fault(each, number) for number, each in enumerate(recorded, 1)]
    planned = _planned(content.get("settings") or {})
    for number, (name, at) in enumerate(planned[len(faults) :], len(faults) + 1):
        why_not = "the run ended before it was prepared"
        faults.append(Fault(number=number, name=name, at=at, why_not=why_not))
    return tuple(faults)


def _planned(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was asked for, by name, and when it was to come; older runs name templates."""
    if "fault_plan" in settings:
        plan = settings["fault_plan"] or ()
        return [(str(each.get("what") or ""), str(each.get("at") or "")) for each in plan]
    names = str(settings.get("fis_template") or "").split(",")
    return [(name.strip(), "") for name in names if name.strip()]


def _parse_fault(content: Mapping[str, Any], number: int) -> Fault:
    state, actions = str(content.get("state") or ""), content.get("actions")
    started_at = _maybe_time(content.get("started_at"))
    asked_at = _maybe_time(content.get("asked_at"))
    action = str(content.get("action") or "")
    is_older = "why_not" not in content and not action.startswith("command: ")
    if is_older:
        # There an experiment has begun as soon as StartExperiment has answered.
        asked_at = started_at
        started_at = None if state in _NOT_YET else started_at
    return Fault(
        **_named_texts(content, "experiment_id", "name", "at", "reason", "why_not"),
        action=action,
        targets=tuple(str(each) for each in content.get("targets") or ()),
        started_at=started_at,
        ended_at=_maybe_time(content.get("ended_at")),
        number=_maybe_count(content.get("number")) or number,
        state=state,
        was_asked=bool(content.get("client_token") or content.get("experiment_id") or state),
        asked_at=asked_at,
        exit_code=_maybe_count(content.get("exit_code")),
        actions=None if actions is None else tuple(map(_parse_action, actions)),
    )


def _parse_action(content: Mapping[str, Any]) -> Action:
    return Action(
        **_named_texts(content, "id", "name", "state"),
        has_begun=bool(content.get("began_at")),
        has_acted=content.get("has_acted") is True,
    )


def _parse_health_check(content: Mapping[str, Any] | None) -> HealthCheck | None:
    if not content:
        return None
    return HealthCheck(
        interval_s=_finite(content["interval_s"]),
        timeout_s=_finite(content["timeout_s"]),
        unhealthy_threshold=int(content["unhealthy_threshold"]),
    )


def _parse_hypothesis(content: Mapping[str, Any]) -> HypothesisTable:
    named = content.get("request") or ()
    return HypothesisTable(
        id=str(content["id"]),
        **_named_texts(content, "statement", "measure", "phase"),
        at_most=_maybe_number(content.get("at_most")),
        at_least=_maybe_number(content.get("at_least")),
        requests=(named,) if isinstance(named, str) else tuple(str(each) for each in named),
        percentile=_maybe_number(content.get("percentile")),
        of=str(content.get("window") or content.get("invariant") or content.get("verdict") or ""),
    )


def _maybe_number(value: float | None) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None if value is None else _finite(value)
    raise ValueError(f"{value!r} is not a number")


def _finite(value: float | str) -> float:
    """Return a number that can be compared and written as JSON; NaN would be more than no limit."""
    number = float(value)
    if not isfinite(number):
        raise ValueError(f"{value!r} is no number to measure by")
    return number


def _parse_findings(content: Mapping[str, Any]) -> LedgerFindings:
    known = LedgerFindings.__dataclass_fields__
    return LedgerFindings(**{name: int(content[name]) for name in known if name in content})
