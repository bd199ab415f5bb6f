"""What is written of a judged run for people and for CI: report.html, junit.xml, a step's summary.

None of it changes the verdict: what cannot be written is told as a note.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.attention import load_attention
from analysis.charts import as_one_picture
from analysis.errors import EvidenceError
from analysis.headline import headline_of
from analysis.junit import render_junit
from analysis.records import Event
from analysis.report import Report, render_report
from analysis.run_directory import JUNIT_FILE, PICTURE_FILE, REPORT_FILE, RunDirectory, append_file
from analysis.step_summary import render_step_summary
from analysis.summary import Judgement, summarise
from analysis.tables import EVENTS, PRODUCTS
from analysis.timeline import load_timeline
from analysis.vega import render_png

__all__ = ["write_for_ci", "write_picture", "write_report"]


def write_for_ci(
    directory: RunDirectory, judgement: Judgement, *, step_summary: Path | None
) -> Iterator[str]:
    """Write junit.xml and add to the step's summary, if there is one; yields what went wrong."""
    summary = summarise(judgement)
    notes = {each.id: each.note for each in judgement.hypotheses if each.note}
    with _noted() as complaints:
        directory.write_text(JUNIT_FILE, render_junit(summary, notes=notes))
    yield from complaints
    if step_summary is not None:
        with _noted() as complaints:
            append_file(step_summary, render_step_summary(summary))
        yield from complaints


def write_report(directory: RunDirectory, judgement: Judgement) -> Iterator[str]:
    """Write report.html; yields what went wrong."""
    with _noted() as complaints:
        directory.write_text(REPORT_FILE, render_report(load_report(directory, judgement)))
    yield from complaints


def write_picture(directory: RunDirectory, judgement: Judgement) -> Iterator[str]:
    """Write the report's charts as report.png; yields what went wrong."""
    with _noted() as complaints:
        report = load_report(directory, judgement)
        sentence = headline_of(report.summary, in_doubt=report.timeline.orders_in_doubt).sentence
        title = f"{report.summary['verdict'].upper()}. {sentence}"
        picture = as_one_picture(report.charts, title=title)
        directory.write_bytes(PICTURE_FILE, render_png(picture))
    yield from complaints


def load_report(directory: RunDirectory, judgement: Judgement) -> Report:
    """Sum up what a report shows; EvidenceError if a file cannot be read."""
    with directory.relations() as relations:
        timeline = load_timeline(relations, judgement.evidence.run)
        attention = load_attention(relations, judgement)
    products = directory.read_table(PRODUCTS) if directory.has_table(PRODUCTS) else ()
    return Report(
        judgement=judgement,
        summary=summarise(judgement),
        content=directory.read_run(),
        timeline=timeline,
        attention=attention,
        events=_events(directory),
        products=list(products),
    )


def _events(directory: RunDirectory) -> list[Event]:
    try:
        return list(directory.read_table(EVENTS))
    except EvidenceError:  # which the judgement has noted
        return []


@contextmanager
def _noted() -> Iterator[list[str]]:
    complaints: list[str] = []
    try:
        yield complaints
    except Exception as error:  # noqa: BLE001 -- whatever it is, the verdict stands
        said = (
            str(error) if isinstance(error, EvidenceError) else f"{type(error).__name__}: {error}"
        )
        complaints.append(f"{said}; the verdict is not touched by it")
