"""The runs of a folder with what they were judged to be, the newest last."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from analysis.evidence.errors import EvidenceError, UsageError
from analysis.evidence.run_directory import REPORT_FILE, RunDirectory
from analysis.terminal.parts import grid, known, safe

_WITHOUT_FAULT = {"no": "\nno fault", "none": "\nnone asked"}
_STYLES = {"held": "green", "broken": "bold red", "undecided": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """A run in a list; what is not known of it is None. `verdict` is empty if it was not judged.

    `fault` is `yes` where all that were asked for happened, `no` where one did not, and `none`
    where none was asked for; empty where that was not judged.
    """

    name: str
    started_at: str | None
    experiment: str
    target: str
    verdict: str
    attempts: int | None
    in_doubt: int | None
    committed: int | None
    has_report: bool
    fault: str = ""


def list_runs(root: Path) -> list[ListedRun]:
    """Return the runs under a folder; UsageError if there is no such folder."""
    if not root.is_dir():
        raise UsageError(
            f"{root}: no such folder; `make chaos-load` makes runs/ with its first run"
        )
    folders = (each for each in root.iterdir() if each.is_dir() and not each.is_symlink())
    found = [_listed(RunDirectory(each)) for each in folders if (each / "run.json").is_file()]
    return sorted(found, key=lambda run: (run.started_at or "", run.name))


def _listed(directory: RunDirectory) -> ListedRun:
    run, summary = map(_readable, (directory.read_run, directory.read_summary))
    attempts, orders = summary.get("attempts") or {}, summary.get("orders") or {}
    started_at = run.get("started_at")
    return ListedRun(
        name=directory.run_id,
        started_at=str(started_at) if started_at else None,
        experiment=str(run.get("experiment") or ""),
        target=str(run.get("target") or ""),
        verdict=str(summary.get("verdict") or ""),
        attempts=attempts.get("total"),
        in_doubt=attempts.get("indeterminate"),
        committed=orders.get("committed"),
        has_report=directory.has(REPORT_FILE),
        fault=_fault(summary),
    )


def _fault(summary: dict[str, Any]) -> str:
    faults = summary.get("faults")
    if not isinstance(faults, list) or not all(isinstance(each, dict) for each in faults):
        return ""
    if not faults:
        return "none"
    return "yes" if all(each.get("happened") for each in faults) else "no"


def _readable(read: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """Return what can be read; what cannot is left empty: a list goes on."""
    try:
        return read() or {}
    except EvidenceError:
        return {}


def render_runs(runs: Iterable[ListedRun], console: Console, *, root: Path) -> None:
    """Print the list."""
    listed = list(runs)
    if not listed:
        console.print(f"no runs under {root}")
        return
    numbers = ("attempts", "in doubt", "committed")
    table = grid("run", "target", "verdict", *numbers, "report", right=numbers)
    for each in listed:
        verdict = Text(safe(each.verdict or "not judged"), style=_STYLES.get(each.verdict, "dim"))
        verdict.append(_WITHOUT_FAULT.get(each.fault, ""), style="default")
        counts = map(known, (each.attempts, each.in_doubt, each.committed))
        is_drawn = "yes" if each.has_report else ""
        table.add_row(safe(each.name), safe(each.target), verdict, *counts, is_drawn)
    console.print(table)
