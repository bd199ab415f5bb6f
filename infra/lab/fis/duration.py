"""Durations as FIS writes them: ISO 8601, such as PT5M."""

import re

_FORM = re.compile(r"P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


def seconds_of(text: str) -> float:
    """How long `text` is.

    Raises:
        ValueError: it is not a duration, or none at all.

    """
    matched = _FORM.fullmatch(text)
    parts = [int(part or 0) for part in matched.groups()] if matched else [0]
    if not any(parts):
        raise ValueError(f"{text!r} is not an ISO 8601 duration, such as PT5M")
    days, hours, minutes, seconds = parts
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
