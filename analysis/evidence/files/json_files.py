"""run.json, summary.json and the like: read strictly, and looked at as far as others rely on it."""

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from analysis.evidence.errors import EvidenceError
from analysis.evidence.files.text import text_of
from analysis.evidence.records import parse_time


def read_json(path: Path, hint: str = "") -> dict[str, Any]:
    """Return a JSON object; EvidenceError if it is none, or, with the hint, if it is missing."""
    try:
        text = text_of(path.read_bytes(), of=path)
        content = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except FileNotFoundError as error:
        raise EvidenceError(f"{path} is missing; {hint}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise EvidenceError(
            f"{path} cannot be read as JSON: {error}; restore it as the run wrote it"
        ) from error
    if not isinstance(content, dict):
        raise EvidenceError(f"{path} holds no JSON object; restore it as the run wrote it")
    return content


def read_summary(path: Path) -> dict[str, Any]:
    """Return summary.json, whose parts that lists and comparisons read are what they should be."""
    hint = "`python -m analysis reconcile` writes it anew"
    summary = read_json(path, hint)
    if not _has_its_parts(summary):
        raise EvidenceError(f"{path} makes no sense; {hint}")
    return summary


def _finite(text: str) -> float:
    """Return a number of JSON's; it has no NaN, and what is beyond all numbers measures nothing."""
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is no number to measure by")
    return number


def _has_its_parts(summary: Mapping[str, Any]) -> bool:
    counts = [summary.get(name) or {} for name in ("attempts", "orders")]
    windows = summary.get("windows") or {}
    if not all(isinstance(part, dict) for part in (*counts, windows)):
        return False
    known = [number for part in counts for number in part.values() if number is not None]
    spans = [window for window in windows.values() if window is not None]
    return all(isinstance(number, int) for number in known) and all(map(_is_window, spans))


def _is_window(window: object) -> bool:
    if not isinstance(window, dict) or not isinstance(window.get("seconds"), int | float):
        return False
    try:
        return all(parse_time(window[end]) is not None for end in ("from", "to"))
    except (KeyError, TypeError, ValueError):
        return False
