"""A run as one page for people: report.html. Pure: a judged run and its sums in, the page out."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.evidence.records import Event, Outcome, Product, Verdict
from analysis.measures.windows import EC2_STATE_EXPECTATION, Window, balancer_window_name
from analysis.report.attention import Attention
from analysis.report.chart_parts import Chart
from analysis.report.charts import charts_of
from analysis.report.html_page import render_page
from analysis.report.run_figures import Tally, Timeline
from analysis.verdict.headline import headline_of
from analysis.verdict.judgement import Judgement

_OF_ROWS = (Verdict.DUPLICATE, Verdict.UNEXPECTED)
_SEVERE = (Verdict.ALTERED, Verdict.CONTRADICTED, Verdict.POSSIBLE)
# The others are left out where there are none.
_ALWAYS = (Verdict.CONFIRMED, Verdict.LOST, Verdict.COMMITTED, Verdict.ABSENT)
_POSSIBLE = {
    Outcome.ACKNOWLEDGED: (Verdict.CONFIRMED, Verdict.LOST, Verdict.ALTERED, Verdict.POSSIBLE),
    Outcome.REJECTED: (Verdict.CLEAN, Verdict.CONTRADICTED),
    Outcome.UNSENT: (Verdict.CLEAN, Verdict.CONTRADICTED),
    Outcome.INDETERMINATE: (Verdict.COMMITTED, Verdict.ABSENT, Verdict.POSSIBLE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report is made of; `content` is run.json, `summary` summary.json."""

    judgement: Judgement
    summary: Mapping[str, Any]
    content: Mapping[str, Any]
    timeline: Timeline
    attention: Attention
    events: Sequence[Event]
    products: Sequence[Product]

    @property
    def charts(self) -> list[Chart]:
        """The charts of the run."""
        fault = self.judgement.evidence.run.fault
        return charts_of(self.timeline, fault=fault, events=self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One number at the top."""

    name: str
    value: str
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An outcome, or a cause of one, and its attempts by verdict."""

    name: str
    count: int
    counts: Mapping[str, int]
    is_part: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A window as a bar, in percent of the widest."""

    name: str
    said: str
    left: float
    width: float
    style: str = ""


def render_report(report: Report) -> str:
    """Return the page, the same for the same run."""
    judgement, summary = report.judgement, report.summary
    run = judgement.evidence.run
    bars, unseen = _windows(judgement)
    return render_page(
        "report.html",
        run=run,
        summary=summary,
        headline=headline_of(summary, in_doubt=report.timeline.orders_in_doubt),
        tiles=_tiles(report),
        timeline=report.timeline,
        charts=report.charts,
        fault=run.fault,
        check=run.health_check,
        ec2_state_expectation=EC2_STATE_EXPECTATION,
        verdicts=[
            each
            for each in Verdict
            if each not in _OF_ROWS and (each in _ALWAYS or summary["orders"][each])
        ],
        without=[each.value for each in _SEVERE if summary["orders"][each] == 0],
        outcomes=list(_outcomes(report)),
        windows=bars,
        unseen=unseen,
        hypotheses=judgement.hypotheses,
        attention=report.attention,
        products={each.id: each.name for each in report.products},
        notes=[*judgement.evidence.notes, *judgement.unclear_answers],
        settings=_settings(report.content),
    )


# --- the numbers at the top ---


def _tiles(report: Report) -> list[Tile]:
    attempts, orders = report.summary["attempts"], report.summary["orders"]
    tiles = [
        Tile(name="attempts to order", value=f"{attempts['total']:,}"),
        Tile(name="acknowledged", value=f"{attempts['acknowledged']:,}"),
        Tile(name="ended in doubt", value=f"{attempts['indeterminate']:,}"),
    ]
    for name, verdict, style in (
        ("of those in the table", "committed", "undecided"),
        ("acknowledged, not in the table", "lost", "broken"),
    ):
        count = orders[verdict]
        shown = "not read" if count is None else f"{count:,}"
        tiles.append(Tile(name=name, value=shown, style=style if count else ""))
    if report.timeline.requests is not None:
        tiles.append(Tile(name="requests of any kind failed", value=_failed_share(report.timeline)))
    return tiles


def _failed_share(timeline: Timeline) -> str:
    counts = [(each.count, each.kind == "answered") for each in timeline.requests or ()]
    total = sum(count for count, _ in counts)
    failed = sum(count for count, is_answered in counts if not is_answered)
    return f"{100 * failed / total:.3g} %" if total else "none"


# --- outcome by verdict ---


def _outcomes(report: Report) -> Iterable[Row]:
    for outcome in Outcome:
        of_outcome = [each for each in report.timeline.tallies if each.outcome == outcome]
        yield _row(outcome.value, of_outcome, outcome)
        causes = sorted({each.cause for each in of_outcome if each.cause})
        for cause in causes:
            of_cause = [each for each in of_outcome if each.cause == cause]
            yield _row(cause, of_cause, outcome, is_part=True)


def _row(name: str, tallies: Sequence[Tally], outcome: Outcome, *, is_part: bool = False) -> Row:
    counts = dict.fromkeys((each.value for each in _POSSIBLE[outcome]), 0)
    for each in tallies:
        if each.verdict:
            counts[each.verdict] = counts.get(each.verdict, 0) + each.count
    is_judged = not tallies or any(each.verdict for each in tallies)
    return Row(
        name=name,
        count=sum(each.count for each in tallies),
        counts=counts if is_judged else {},
        is_part=is_part,
    )


# --- windows ---


def _windows(judgement: Judgement) -> tuple[list[Bar], list[str]]:
    """Return the windows as bars from the fault on, and the names of those that were not seen."""
    run = judgement.evidence.run
    fault_at = run.fault.started_at if run.fault else None
    if fault_at is None:
        return [], []
    named = (
        ("clients: first to last failure", judgement.windows.client),
        (balancer_window_name(judgement.windows.load_balancer), judgement.windows.load_balancer),
        ("auto scaling: first activity to last success", judgement.windows.autoscaling),
    )
    check = run.health_check
    ends = [(each.ends_at - fault_at) / 1e6 for _, each in named if each is not None]
    widest_s = max([*ends, check.worst_s if check else 0, 1])
    bars = [_bar(name, each, fault_at, widest_s) for name, each in named if each is not None]
    if check is not None:
        said = f"{check.best_s:g} to {check.worst_s:g} s"
        left, width = (
            100 * each / widest_s for each in (check.best_s, check.worst_s - check.best_s)
        )
        name = "expected of health checks"
        bars.append(
            Bar(name=name, said=said, left=round(left, 2), width=round(width, 2), style="expected")
        )
    return bars, [name for name, each in named if each is None]


def _bar(name: str, window: Window, fault_at: int, widest_s: float) -> Bar:
    begins_s = (window.begins_at - fault_at) / 1e6
    left, width = 100 * max(begins_s, 0) / widest_s, 100 * window.seconds / widest_s
    said = f"{window.seconds:.1f} s"
    if begins_s >= 0.1:  # noqa: PLR2004 -- less is not shown
        said += f", from {begins_s:+.1f} s"
    return Bar(name=name, said=said, left=round(left, 2), width=round(width, 2))


# --- settings ---


def _settings(content: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (title, _pairs(content.get(name)))
        for title, name in (
            ("Settings", "settings"),
            ("Versions", "versions"),
            ("Health check", "health_check"),
            ("Fault", "fault"),
        )
    ]


def _pairs(values: object) -> list[tuple[str, str]]:
    if not isinstance(values, Mapping):
        return []
    return [
        (str(name).replace("_", " "), value if isinstance(value, str) else json.dumps(value))
        for name, value in values.items()
        if value is not None and value != ""
    ]
