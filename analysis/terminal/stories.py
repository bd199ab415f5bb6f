"""Stories of orders as people read them on the terminal."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.text import Text

from analysis.evidence.records import Verdict, format_time
from analysis.judging.finding_records import AttemptFinding
from analysis.judging.undisputed import FIRST_TOLD
from analysis.measures.gaps import find_gaps, tell_gaps
from analysis.terminal.parts import grid, safe
from analysis.verdict.judgement import Judgement


def stories_of(
    hidden: Sequence[AttemptFinding], judgement: Judgement, *, count: int
) -> RenderableType:
    """Tell the first few of these attempts, of so many, by seconds since each began."""
    parts: list[RenderableType] = []
    for finding in hidden[:FIRST_TOLD]:
        table = grid("at", "by", "said", right=["at"], has_header=False)
        steps = judgement.story_of(finding)
        begins_at = next((step.at for step in steps if step.at is not None), 0)
        for step in steps:
            at = "" if step.at is None else f"{(step.at - begins_at) / 1e6:+.3f} s"
            table.add_row(at, step.witness, Text(safe(step.said)))
        parts += [Text(safe(f"attempt {finding.attempt.attempt_id}"), style="dim"), table]
    if count > FIRST_TOLD:
        how = "`python -m analysis story RUN_DIR ATTEMPT_ID` tells any of them"
        parts.append(Text(f"and {count - FIRST_TOLD} more; {how}", style="dim"))
    return Group(*parts)


def render_story(finding: AttemptFinding, judgement: Judgement, console: Console) -> None:
    """Print one attempt's story, with the times at which each witness saw it."""
    table = grid("at, by the load generator's clock", "seen by", "")
    for step in judgement.story_of(finding):
        at = "" if step.at is None else format_time(step.at)
        table.add_row(at, step.witness, Text(safe(step.said)))
    verdict = finding.verdict.value if finding.verdict else "not judged"
    head = f"{finding.attempt.attempt_id}: {finding.attempt.outcome.value}, {verdict}"
    console.print(Text(safe(head), style="bold"), soft_wrap=True)
    console.print(table)
    if finding.verdict in (Verdict.ABSENT, Verdict.POSSIBLE):
        console.print(safe(_gaps_beside(finding, judgement)), soft_wrap=True, end="")


def story_as_json(finding: AttemptFinding, judgement: Judgement) -> dict[str, object]:
    """Return one attempt's story, with what became of it."""
    return {
        "attempt_id": finding.attempt.attempt_id,
        "outcome": finding.attempt.outcome.value,
        "verdict": finding.verdict,
        "evidence": finding.evidence.value,
        "steps": [
            {
                "at": None if step.at is None else format_time(step.at),
                "witness": step.witness,
                "said": step.said,
            }
            for step in judgement.story_of(finding)
        ],
    }


def _gaps_beside(finding: AttemptFinding, judgement: Judgement) -> str:
    evidence = judgement.evidence
    gaps = find_gaps(
        evidence.orders or (),
        above_id=evidence.before.max_order_id if evidence.before else None,
    )
    offset_us = judgement.clock.certain_offset_us
    said = tell_gaps(gaps, finding.attempt, offset_us=offset_us)
    return f"{said}\n" if said else ""
