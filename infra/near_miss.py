"""What somebody may have meant who wrote a name that is not known."""

import difflib
from collections.abc import Collection, Iterable, Iterator


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to put behind a refusal; nothing where no known name is like it."""
    meant = _near_miss(word, known)
    return f"did you mean {meant}? " if meant else ""


def near_misses(words: Iterable[str], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Words that are not known but like one that is, each with what was meant."""
    for word in words:
        meant = "" if word in known else _near_miss(word, known)
        if meant:
            yield word, meant


def _near_miss(word: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.75)), "")
