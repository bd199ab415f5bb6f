"""The command `compare`: its result on the terminal, as JSON, CSV and HTML."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis.compare.comparison import compare
from analysis.compare.conditions import Finding, Result, check, parse_condition
from analysis.compare.output_formats import as_csv, as_html, as_json, as_markdown
from analysis.compare.samples import load_side
from analysis.compare.terminal import render_comparison
from analysis.evidence.errors import EvidenceError
from analysis.evidence.files.writing import append_file, write_file

_EXIT_MET, _EXIT_UNDECIDED = 1, 2


def run_comparison(
    options: argparse.Namespace, console: Console, *, step_summary: Path | None
) -> int:
    """Compare, and return 1 if a condition is met, 2 if one is undecided, else 0."""
    conditions = [parse_condition(text) for text in options.fail_if]
    base, *runs = [load_side(path) for path in (options.base, *options.runs)]
    comparisons = compare(base, runs, confidence=options.confidence)
    findings = [check(each, against) for against in comparisons for each in conditions]
    if options.json:
        print(json.dumps(as_json(comparisons, findings), indent=2, allow_nan=False))
    else:
        render_comparison(comparisons, findings, console)
    if options.csv:
        write_file(options.csv, as_csv(comparisons))
    if options.html:
        write_file(options.html, as_html(comparisons, findings))
    if step_summary is not None:
        try:
            append_file(step_summary, as_markdown(comparisons, findings))
        except EvidenceError as error:  # the comparison stands without it
            if console.is_terminal:
                console.print(f"note: {error}")
    return _exit_code(findings)


def _exit_code(findings: Sequence[Finding]) -> int:
    results = {each.result for each in findings}
    if Result.MET in results:
        return _EXIT_MET
    return _EXIT_UNDECIDED if Result.UNDECIDED in results else 0
