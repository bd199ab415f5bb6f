"""A run as Markdown for a CI step's summary (GITHUB_STEP_SUMMARY). Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from analysis.headline import headline_of

__all__ = ["render_step_summary"]

_MARKS = {"held": "✅", "undecided": "❔", "broken": "❌"}
_STEERING = re.compile(r"([\\`*_{}\[\]()#+!|~$@-])")


def render_step_summary(summary: Mapping[str, Any], *, in_doubt: int | None = None) -> str:
    """Return a section of it; what others wrote is shown as they wrote it."""
    return "\n".join([*_lines(summary, in_doubt), ""])


def _lines(summary: Mapping[str, Any], in_doubt: int | None) -> Iterable[str]:
    verdict = summary["verdict"]
    headline = headline_of(summary, in_doubt=in_doubt)
    yield f"## {_MARKS[verdict]} {verdict.upper()}: {_plain(summary['run_id'])}"
    yield ""
    yield f"**{_plain(headline.sentence)}**"
    for other in headline.others:
        yield ""
        yield _plain(other)
    yield ""
    yield "| what the client knows | attempts |"
    yield "|---|---:|"
    for outcome in ("acknowledged", "rejected", "unsent", "indeterminate"):
        yield f"| {outcome} | {summary['attempts'][outcome]:,} |"
    yield ""
    yield "| | invariant or hypothesis | found |"
    yield "|---|---|---|"
    for each in summary["invariants"]:
        yield f"| {_MARKS[each['verdict']]} | {_plain(each['id'])} | {_plain(each['detail'])} |"
    for each in summary["hypotheses"]:
        measured = each["measured"]
        found = "not measured" if measured is None else f"measured {round(measured, 2):g}"
        yield f"| {_MARKS[each['verdict']]} | {_plain(each['statement'] or each['id'])} | {found} |"
    yield ""


def _plain(text: str) -> str:
    """Return text in which neither Markdown nor HTML finds anything to obey."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    for character, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        shown = shown.replace(character, name)
    return _STEERING.sub(r"\\\1", shown)
