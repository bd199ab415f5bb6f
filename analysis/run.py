"""What run.json and the first snapshot say, as records. Pure; unknown fields are left alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from analysis.errors import EvidenceError
from analysis.records import parse_time

_SHOWN_CHARACTERS = 200
_NONSENSE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)

SETTLE_LIMIT_S = 30.0  # to wait for the database, unless a user says otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Whether the database had come to rest before it was read."""

    settled: bool
    waited_s: float
    open_transactions: tuple[Mapping[str, Any], ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the form that run.json and summary.json hold."""
        return {
            "settled": self.settled,
            "waited_s": self.waited_s,
            "open_transactions": [dict(each) for each in self.open_transactions],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The FIS experiment of the run. Times in microseconds."""

    experiment_id: str
    action: str
    targets: tuple[str, ...]
    started_at: int | None
    ended_at: int | None


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
class LedgerFindings:
    """What was found when the ledgers were read; see `ledger`.

    `cut_off` counts ledgers that may lack their last lines: their tail is lost, or not to be
    trusted.
    """

    files: int = 0
    lines: int = 0
    torn_last_lines: int = 0
    torn_lines: int = 0
    cut_off: int = 0
    unmatched_ends: int = 0
    open_attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """run.json. Times in microseconds.

    `incomplete_ledgers` names the processes whose ledger may lack what they did last.
    `older_rows` came to be during the run with ids from before it: orders.csv lacks them.
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
    load_balancers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The snapshot taken before the run."""

    max_order_id: int
    settle: Settle | None
    products: tuple[Mapping[str, Any], ...]
    order_count: int | None = None


def parse_run(content: Mapping[str, Any]) -> Run:
    """Return run.json's content as a record; EvidenceError says which field is wrong."""
    try:
        return _parse_run(content)
    except _NONSENSE as error:
        raise EvidenceError(_complaint("run.json", error)) from error


def parse_before(content: Mapping[str, Any]) -> Before:
    """Return snapshot_before.json's content as a record; EvidenceError if it is not one."""
    try:
        return Before(
            max_order_id=int(content["max_order_id"]),
            settle=_parse_settle(content.get("settle")),
            products=tuple(content["products"]),
            order_count=_maybe_count(content.get("order_count")),
        )
    except _NONSENSE as error:
        raise EvidenceError(_complaint("snapshot_before.json", error)) from error


def _complaint(file_name: str, error: Exception) -> str:
    what = f"lacks {error}" if isinstance(error, KeyError) else f"cannot be understood: {error}"
    return f"{file_name} {what[:_SHOWN_CHARACTERS]}; restore it as the run wrote it"


def _parse_run(content: Mapping[str, Any]) -> Run:
    return Run(
        run_id=str(content["run_id"]),
        started_at=_maybe_time(content.get("started_at")),
        ended_at=_maybe_time(content.get("ended_at")),
        target=str(content.get("target") or ""),
        host=str(content.get("host") or ""),
        experiment=str(content.get("experiment") or ""),
        interrupted=bool(content.get("interrupted")),
        settle=_parse_settle(content.get("settle")),
        hypotheses=tuple(_parse_hypothesis(each) for each in content.get("hypotheses") or ()),
        fault=_parse_fault(content.get("fault")),
        health_check=_parse_health_check(content.get("health_check")),
        ledger=_parse_findings(content.get("ledger") or {}),
        incomplete_ledgers=tuple(str(each) for each in content.get("incomplete_ledgers") or ()),
        older_rows=int(content.get("older_rows") or 0),
        load_balancers=tuple(str(each) for each in content.get("load_balancers") or ()),
    )


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
    )


def _parse_fault(content: Mapping[str, Any] | None) -> Fault | None:
    if not content:
        return None
    return Fault(
        experiment_id=str(content.get("experiment_id") or ""),
        action=str(content.get("action") or ""),
        targets=tuple(str(each) for each in content.get("targets") or ()),
        started_at=_maybe_time(content.get("started_at")),
        ended_at=_maybe_time(content.get("ended_at")),
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
        statement=str(content.get("statement") or ""),
        measure=str(content.get("measure") or ""),
        at_most=_maybe_number(content.get("at_most")),
        at_least=_maybe_number(content.get("at_least")),
        requests=(named,) if isinstance(named, str) else tuple(str(each) for each in named),
        phase=str(content.get("phase") or ""),
        percentile=_maybe_number(content.get("percentile")),
        of=str(content.get("window") or content.get("invariant") or content.get("verdict") or ""),
    )


def _maybe_number(value: float | None) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None if value is None else _finite(value)
    message = f"{value!r} is not a number"
    raise ValueError(message)


def _finite(value: float | str) -> float:
    """Return a number that can be compared and written as JSON; NaN would be more than no limit."""
    number = float(value)
    if not isfinite(number):
        message = f"{value!r} is no number to measure by"
        raise ValueError(message)
    return number


def _parse_findings(content: Mapping[str, Any]) -> LedgerFindings:
    known = LedgerFindings.__dataclass_fields__
    return LedgerFindings(**{name: int(content[name]) for name in known if name in content})
