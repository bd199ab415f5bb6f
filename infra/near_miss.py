"""What somebody may have meant who wrote a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near_miss(word: str, known: Iterable[str]) -> str:
    """The known name that is most like it; nothing where none is."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.75)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to put behind a refusal; nothing where no known name is like it."""
    meant = near_miss(word, known)
    return f"did you mean {meant}? " if meant else ""
