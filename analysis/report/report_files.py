"""What is drawn of a judged run for people: report.html, and its charts as a picture."""

from collections.abc import Iterator

from analysis.evidence.files.writing import whole_file
from analysis.evidence.run_directory import PICTURE_FILE, REPORT_FILE, RunDirectory
from analysis.evidence.tables import PRODUCTS
from analysis.report.attention import load_attention
from analysis.report.charts import as_one_picture
from analysis.report.report import Report, render_report
from analysis.report.run_figures import load_timeline
from analysis.report.vega import render_png
from analysis.verdict.headline import headline_of
from analysis.verdict.judge_run import events_of
from analysis.verdict.judgement import Judgement
from analysis.verdict.results import tried
from analysis.verdict.summary import summarise


def write_report(directory: RunDirectory, judgement: Judgement) -> Iterator[str]:
    """Write report.html; yields what went wrong."""
    yield from tried(
        lambda: directory.write_text(REPORT_FILE, render_report(load_report(directory, judgement)))
    )


def write_picture(directory: RunDirectory, judgement: Judgement) -> Iterator[str]:
    """Write the report's charts as report.png; yields what went wrong."""

    def write() -> None:
        report = load_report(directory, judgement)
        sentence = headline_of(report.summary, in_doubt=report.timeline.orders_in_doubt).sentence
        title = f"{report.summary['verdict'].upper()}. {sentence}"
        picture = as_one_picture(report.charts, title=title)
        with whole_file(directory.path / PICTURE_FILE) as file:
            file.write(render_png(picture))

    yield from tried(write)


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
        events=events_of(directory),
        products=list(products),
    )
