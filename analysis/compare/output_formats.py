"""A comparison as JSON, CSV, Markdown and HTML. Pure."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict

from analysis.compare.bootstrap import Interval
from analysis.compare.comparison import MEASURES, SAME_POINTS, SAME_SHARE, Compared, Comparison
from analysis.compare.conditions import Finding, Result
from analysis.compare.differences import OF_RATES, incomparable
from analysis.compare.samples import Side
from analysis.report.html_page import render_page
from analysis.verdict.step_summary import plain_markdown

LEGEND = (
    "better and worse are said only where the interval leaves no other way, no change only where "
    f"all of it is within {100 * SAME_SHARE:g} % ({SAME_POINTS:g} point of failures)"
)

_COLUMNS = (
    *("base", "run", "endpoint", "measure", "unit", "base_value", "run_value"),
    *("run_low", "run_high", "ratio", "ratio_low", "ratio_high", "change"),
    "reason",
)

_MARKDOWN_HEAD = (
    "| endpoint | measure | base | run | run / base | interval | change |",
    "|---|---|---:|---:|---:|---|---|",
)


def as_json(comparisons: Sequence[Comparison], findings: Sequence[Finding]) -> dict[str, object]:
    """Return the comparison as JSON has it; an interval is [low, high], or null."""
    return {
        "base": _side(comparisons[0].base),
        "runs": [
            {
                **_side(each.run),
                "differences": [asdict(difference) for difference in each.differences],
                "rows": [_row(row) for row in each.rows],
            }
            for each in comparisons
        ],
        "confidence": comparisons[0].confidence,
        "conditions": [asdict(each) for each in findings],
        "notes": list(notes_of(comparisons)),
    }


def _side(side: Side) -> dict[str, object]:
    return {
        "name": side.name,
        "source": side.source,
        "verdict": side.verdict or None,
        "verdicts": dict(side.verdicts),
        "windows": dict(side.windows),
    }


def _row(row: Compared) -> dict[str, object]:
    return {
        "endpoint": row.endpoint,
        "measure": row.measure,
        "unit": MEASURES[row.measure],
        "base": row.base,
        "run": row.run,
        "interval": _ends(row.interval),
        "ratio": row.ratio,
        "ratio_interval": _ends(row.ratio_interval),
        "change": row.change.value,
        "reason": row.reason,
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def notes_of(comparisons: Sequence[Comparison]) -> list[str]:
    """Return what is to be said of the sides, each once."""
    sides = [comparisons[0].base, *(each.run for each in comparisons)]
    notes = [note for side in sides for note in side.notes]
    notes += [
        f"{side.name}: too short for intervals"
        for side in sides
        if not side.phases and side.source == "ledger"
    ]
    notes += [
        f"{each.run.name}: requests per second are not judged, {why}"
        for each in comparisons
        if (why := incomparable(each.differences, OF_RATES))
    ]
    return list(dict.fromkeys(notes))


def as_csv(comparisons: Sequence[Comparison]) -> str:
    """Return one line for each run, endpoint and measure."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(_COLUMNS)
    for each in comparisons:
        for row in each.rows:
            numbers = (
                *(row.base, row.run),
                *(_ends(row.interval) or (None, None)),
                row.ratio,
                *(_ends(row.ratio_interval) or (None, None)),
            )
            names = (each.base.name, each.run.name, row.endpoint, row.measure)
            cells = ["" if number is None else f"{number:.6g}" for number in numbers]
            lines.writerow([*names, MEASURES[row.measure], *cells, row.change.value, row.reason])
    return text.getvalue()


def as_markdown(comparisons: Sequence[Comparison], findings: Sequence[Finding]) -> str:
    """Return what changed, for a CI step's summary."""
    lines = []
    for each in comparisons:
        lines += [
            f"## {plain_markdown(each.run.name)} against {plain_markdown(each.base.name)}",
            "",
        ]
        lines += _markdown_differences(each)
        lines += [*_MARKDOWN_HEAD]
        for row in each.rows:
            cells = (row.endpoint, row.measure, shown_value(row.measure, row.base))
            more = (shown_value(row.measure, row.run), *shown_change(row), row.change.value)
            lines.append(f"| {' | '.join(map(plain_markdown, (*cells, *more)))} |")
        lines.append("")
    lines += [f"- {plain_markdown(note)}" for note in notes_of(comparisons)]
    marks = {Result.MET: "❌", Result.UNDECIDED: "❔", Result.NOT_MET: "✅"}
    for found in findings:
        said = f"{found.condition}: {found.result}, {found.measured} ({found.run})"
        lines.append(f"- {marks[found.result]} {plain_markdown(said)}")
    return "\n".join([*lines, ""])


def _markdown_differences(comparison: Comparison) -> list[str]:
    if not comparison.differences:
        return []
    rows = [(each.setting, each.base, each.run) for each in comparison.differences]
    lines = [f"| {' | '.join(map(plain_markdown, row))} |" for row in rows]
    return ["| set otherwise | base | run |", "|---|---|---|", *lines, ""]


def as_html(comparisons: Sequence[Comparison], findings: Sequence[Finding]) -> str:
    """Return the page."""
    return render_page(
        "compare.html",
        comparisons=comparisons,
        findings=findings,
        notes=notes_of(comparisons),
        legend=LEGEND,
        shown_value=shown_value,
        shown_change=shown_change,
        is_charted=False,
    )


def shown_value(measure: str, value: float | None) -> str:
    """Say a value as people read it."""
    if value is None:
        return "–"
    if MEASURES[measure] == "s":
        return f"{value * 1000:,.3g} ms" if value < 1 else f"{value:,.2f} s"
    return f"{value:.1f} %" if measure == "failures" else f"{value:,.1f}"


def shown_change(row: Compared) -> tuple[str, str]:
    """Say how a measure changed, and its interval: empty where there is none."""
    if row.measure == "failures":
        if row.base is None or row.run is None:
            return "–", ""
        interval = row.difference_interval
        ends = f"{interval.low:+.1f} to {interval.high:+.1f}" if interval else ""
        return f"{row.run - row.base:+.1f} pt", ends
    if row.ratio is None:
        return "–", ""
    interval = row.ratio_interval
    return f"{row.ratio:.2f}x", f"{interval.low:.2f} to {interval.high:.2f}" if interval else ""
