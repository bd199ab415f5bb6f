"""What the judge said of each shop against what it had to say, and how that is shown and kept."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.selftest.cases import Case
from tests.selftest.judgements import Judgements

# With fewer acknowledged orders than this, that nothing was found says nothing.
LEAST_ORDERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A row of the table. `expected` and `found` are the invariants that are broken.

    `without_keys` are those that the same evidence breaks with the key columns hidden, and
    `contradicted` counts attempts of which more is claimed then than the keys bear out. What of
    a mistake can still be seen is told and not required, but that it is not held is; a correct
    shop must stay clear.
    """

    shop: str
    mistake: str
    fault: str
    expected: tuple[str, ...]
    found: tuple[str, ...]
    holds: bool
    verdict: str
    without_keys: tuple[str, ...]
    contradicted: int
    may_also: tuple[str, ...]
    why: str
    details: Mapping[str, str]
    orders: Mapping[str, Any]


def compare(
    case: Case,
    judged: Judgements,
    *,
    fault: str,
) -> Result:
    """Hold a run's verdict against what the case expects."""
    summary = judged.as_found
    broken, broken_without_keys = _broken(summary), _broken(judged.without_keys)
    wrong = _complaints(case, summary, set(broken), needs_fault=bool(fault))
    if not case.expected and broken_without_keys:
        wrong.append(f"accused without keys of {', '.join(broken_without_keys)}")
    if case.expected and judged.without_keys["verdict"] == "held":
        wrong.append("held without keys")
    if not case.expected and judged.contradicted:
        wrong.append(f"{judged.contradicted} attempts contradicted by their keys")
    return Result(
        shop=case.name,
        mistake=case.mistake,
        fault=fault,
        expected=case.expected,
        found=tuple(broken),
        holds=not wrong,
        verdict=summary["verdict"],
        without_keys=tuple(broken_without_keys),
        contradicted=judged.contradicted,
        may_also=case.may_also,
        why="; ".join(wrong),
        details=broken,
        orders=summary["orders"],
    )


def _broken(summary: Mapping[str, Any]) -> dict[str, str]:
    """Invariant -> what was found, of those that are broken."""
    return {
        each["id"]: each["detail"] for each in summary["invariants"] if each["verdict"] == "broken"
    }


def failure(case: Case, problem: str, *, fault: str) -> Result:
    """A row for an experiment that came to no verdict."""
    return Result(
        shop=case.name,
        mistake=case.mistake,
        fault=fault,
        expected=case.expected,
        found=(),
        holds=False,
        verdict="",
        without_keys=(),
        contradicted=0,
        may_also=case.may_also,
        why=problem,
        details={},
        orders={},
    )


def _complaints(
    case: Case, summary: Mapping[str, Any], broken: set[str], *, needs_fault: bool
) -> list[str]:
    """Say what is wrong with the verdict, or with the run it is of."""
    wrong = []
    if missed := set(case.expected) - broken:
        wrong.append(f"missed {', '.join(sorted(missed))}")
    if accused := broken - {*case.expected, *case.may_also}:
        wrong.append(f"accused of {', '.join(sorted(accused))}")
    wanted = _wanted_verdicts(case)
    if summary["verdict"] not in wanted:
        wrong.append(f"verdict {summary['verdict']}, not {' or '.join(wanted)}")
    acknowledged = summary["attempts"]["acknowledged"]
    if acknowledged < LEAST_ORDERS:
        wrong.append(f"only {acknowledged} orders were acknowledged")
    if needs_fault and not (summary["fault"] or {}).get("targets"):
        wrong.append("there was no fault")
    if case.shop == "unpleasant" and not summary["orders"]["committed"]:
        wrong.append("no order was committed unknown to its customer")
    return wrong


def _wanted_verdicts(case: Case) -> tuple[str, ...]:
    if case.expected:
        return ("broken",)
    return ("held", "undecided") if case.may_be_undecided else ("held",)


def show_results(results: Sequence[Result]) -> None:
    """Print them as a table."""
    table = Table("shop", "mistake", "expected", "found", "verdict", "without keys", "holds")
    for each in results:
        table.add_row(
            each.shop,
            each.mistake,
            _names(each.expected),
            _names(each.found),
            each.verdict,
            _names(each.without_keys),
            "yes" if each.holds else f"no: {each.why}",
        )
    console = Console()
    # A file has no width of its own.
    console.width = console.width if console.is_terminal else 160
    console.print(table)


def _names(invariants: Sequence[str]) -> str:
    return ", ".join(invariants) or "none"


def write_results(results: Sequence[Result], file: Path) -> None:
    """Write them as a JSON list."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(each) for each in results]
    file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
