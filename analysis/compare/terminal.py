"""A comparison on the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from analysis.compare.comparison import Change, Compared, Comparison
from analysis.compare.conditions import Finding, Result
from analysis.compare.output_formats import LEGEND, notes_of, shown_change, shown_value
from analysis.terminal.parts import grid, known, safe

_STYLES = {
    Change.BETTER: "green",
    Change.WORSE: "bold red",
    Change.SAME: "",
    Change.NOT_PROVEN: "yellow",
    Change.NOT_JUDGED: "yellow",
    Change.UNKNOWN: "dim",
}
_RESULTS = {Result.MET: "bold red", Result.UNDECIDED: "yellow", Result.NOT_MET: "green"}
_MARKS = {Result.MET: "✗", Result.UNDECIDED: "?", Result.NOT_MET: "✓"}


def render_comparison(
    comparisons: Sequence[Comparison], findings: Sequence[Finding], console: Console
) -> None:
    """Print each run against the base, and what became of the conditions."""
    for each in comparisons:
        title = f"{each.run.name} against {each.base.name}"
        console.print(Text(safe(title), style="bold"))
        if each.differences:
            console.print(_differences(each))
        console.print(_rows(each))
        if each.base.verdicts or each.run.verdicts:
            console.print(_verdicts(each))
        console.print(Text(f"{LEGEND}\n", style="dim"))
    for note in notes_of(comparisons):
        console.print(Text(f"note: {safe(note)}", style="yellow"))
    for found in findings:
        mark = Text(f"{_MARKS[found.result]} ", style=_RESULTS[found.result])
        said = f"{found.condition}: {found.result}, {found.measured} ({found.run})"
        console.print(mark.append(safe(said)))


def _differences(comparison: Comparison) -> object:
    table = grid("set otherwise", "base", "run")
    for each in comparison.differences:
        table.add_row(*map(safe, (each.setting, each.base, each.run)))
    return table


def _rows(comparison: Comparison) -> object:
    interval = f"{100 * comparison.confidence:g} % interval"
    numbers = ("base", "run", "run/base")
    table = grid("", *numbers, interval, "", right=numbers)
    for endpoint in comparison.endpoints:
        rows = [row for row in comparison.rows if row.endpoint == endpoint]
        table.add_row(Text(safe(endpoint), style="bold"))
        for row in rows:
            table.add_row(*_cells(row))
    return table


def _cells(row: Compared) -> tuple[str | Text, ...]:
    base, run = (shown_value(row.measure, value) for value in (row.base, row.run))
    change = Text(row.change.value, style=_STYLES[row.change])
    return (f"  {row.measure}", base, run, *shown_change(row), change)


def _verdicts(comparison: Comparison) -> object:
    base, run = comparison.base, comparison.run
    table = grid("", "base", "run", right=["base", "run"])
    table.add_row("verdict", base.verdict or "–", run.verdict or "–")
    for name in dict.fromkeys((*base.verdicts, *run.verdicts)):
        counts = base.verdicts.get(name), run.verdicts.get(name)
        if any(counts):
            table.add_row(name, *map(known, counts))
    for name in dict.fromkeys((*base.windows, *run.windows)):
        lasted_s = base.windows.get(name), run.windows.get(name)
        if lasted_s != (None, None):
            table.add_row(f"window: {name}", *map(_seconds, lasted_s))
    return table


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"
