"""What is written of a judged run for CI: junit.xml, a step's summary.

None of it changes the verdict: what cannot be written is told as a note.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from analysis.evidence.errors import EvidenceError
from analysis.evidence.files.writing import append_file
from analysis.evidence.run_directory import JUNIT_FILE, RunDirectory
from analysis.verdict.judgement import Judgement
from analysis.verdict.junit import render_junit
from analysis.verdict.step_summary import render_step_summary
from analysis.verdict.summary import summarise


def write_for_ci(
    directory: RunDirectory, judgement: Judgement, *, step_summary: Path | None
) -> Iterator[str]:
    """Write junit.xml and add to the step's summary, if there is one; yields what went wrong."""
    summary = summarise(judgement)
    notes = {each.id: each.note for each in judgement.hypotheses if each.note}
    yield from tried(lambda: directory.write_text(JUNIT_FILE, render_junit(summary, notes=notes)))
    if step_summary is not None:
        yield from tried(lambda: append_file(step_summary, render_step_summary(summary)))


def tried(write: Callable[[], object]) -> Iterator[str]:
    """Write something, and yield what went wrong in that."""
    try:
        write()
    except Exception as error:  # noqa: BLE001 -- whatever it is, the verdict stands
        said = (
            str(error) if isinstance(error, EvidenceError) else f"{type(error).__name__}: {error}"
        )
        yield f"{said}; the verdict is not touched by it"
