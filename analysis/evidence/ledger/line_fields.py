"""The fields of a ledger's lines as text: quickly where a line is plain, exactly everywhere. Pure.

`records.parse_line` says what a line is. Nearly all are printable ASCII without escapes, as
written by Locust processes that went well, and those are read by one pattern each: closing ten
million takes minutes instead of tens. An unknown value is empty, a time is its microseconds.
"""

import re
from dataclasses import astuple, fields

from analysis.evidence.ledger.line_records import (
    AttemptEnded,
    AttemptSent,
    LedgerLine,
    RequestDone,
    parse_line,
    types_of,
)
from analysis.evidence.records import Outcome

Kind = type[LedgerLine]

_TEXT = r'"([ !#-\[\]-~]*)"'
_WHOLE = r"(0|-?[1-9][0-9]{0,17})"
_TIME = r"([1-9][0-9]{15})"  # from 2001 to 2286, so that none is out of bounds


def _pattern(kind: Kind) -> re.Pattern[str]:
    parts = []
    for field, allowed in zip(fields(kind), types_of(kind), strict=True):
        if field.name == "outcome":
            part = f'"({"|".join(Outcome)})"'
        elif str in allowed:
            part = _TEXT
        else:
            part = _TIME if field.name.endswith("_at") else _WHOLE
        parts.append(f"(?:null|{part})" if type(None) in allowed else part)
    return re.compile(rf'\["{kind.tag}",{",".join(parts)}\]\n')


_PLAIN = {
    f'["{kind.tag}"'[:4]: (kind, _pattern(kind).fullmatch)
    for kind in (AttemptSent, AttemptEnded, RequestDone)
}


def read_fields(line: bytes) -> tuple[Kind, tuple[str, ...]]:
    """Return what kind of line it is and its fields; TornLine as `parse_line` raises it."""
    return read_plainly(line) or read_exactly(line)


def read_plainly(line: bytes) -> tuple[Kind, tuple[str, ...]] | None:
    """Return the same for a plain line, and None for any other."""
    text = line.decode("latin-1")
    way = _PLAIN.get(text[:4])
    if way is None:
        return None
    kind, match = way
    found = match(text)
    return (kind, found.groups("")) if found else None


def read_exactly(line: bytes) -> tuple[Kind, tuple[str, ...]]:
    """Return the same for any line."""
    record = parse_line(line)
    values = astuple(record)
    return type(record), tuple("" if value is None else str(value) for value in values)
