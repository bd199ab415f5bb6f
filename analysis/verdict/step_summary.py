"""A run as Markdown for a CI step's summary (GITHUB_STEP_SUMMARY). Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from analysis.verdict.headline import headline_of

_MARKS = {"held": "✅", "undecided": "❔", "broken": "❌"}
_STEERING = re.compile(r"([\\`*_{}\[\]()#+!|~$@-])")


def render_step_summary(summary: Mapping[str, Any], *, in_doubt: int | None = None) -> str:
    """Return a section of it; what others wrote is shown as they wrote it."""
    return "\n".join([*_lines(summary, in_doubt), ""])


def _lines(summary: Mapping[str, Any], in_doubt: int | None) -> Iterable[str]:
    verdict = summary["verdict"]
    headline = headline_of(summary, in_doubt=in_doubt)
    yield f"## {_MARKS[verdict]} {verdict.upper()}: {plain_markdown(summary['run_id'])}"
    yield ""
    yield f"**{plain_markdown(headline.sentence)}**"
    for other in headline.others:
        yield ""
        yield plain_markdown(other)
    yield ""
    yield "| what the client knows | attempts |"
    yield "|---|---:|"
    for outcome in ("acknowledged", "rejected", "unsent", "indeterminate"):
        yield f"| {outcome} | {summary['attempts'][outcome]:,} |"
    yield ""
    yield "| | invariant, fault or hypothesis | found |"
    yield "|---|---|---|"
    for each in summary["invariants"]:
        yield _line(each, each["id"], each["detail"])
    for each in summary["faults"]:
        judged = {"verdict": "held" if each["happened"] else "undecided"}
        yield _line(judged, f"fault {each['name']}", each["why_not"] or each["known_by"])
    for each in summary["hypotheses"]:
        measured = each["measured"]
        found = "not measured" if measured is None else f"measured {round(measured, 2):g}"
        yield _line(each, each["statement"] or each["id"], found)
    yield ""


def _line(judged: Mapping[str, Any], name: str, found: str) -> str:
    cells = (_MARKS[judged["verdict"]], plain_markdown(name), plain_markdown(found))
    return f"| {' | '.join(cells)} |"


def plain_markdown(text: str) -> str:
    """Return text in which neither Markdown nor HTML finds anything to obey."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    for character, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        shown = shown.replace(character, name)
    return _STEERING.sub(r"\\\1", shown)
