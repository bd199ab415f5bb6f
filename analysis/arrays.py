"""Arrays that belong together, as a named tuple of them. A part of `sieve`."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.cells import Booleans, Numbers

__all__ = ["Gathering", "chosen", "kept"]

ArraysT = TypeVar("ArraysT", bound=tuple[Any, ...])


class Gathering(Generic[ArraysT]):
    """Arrays of parts, put behind each other as they come."""

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self._whole: ArraysT | None = None
        self._length = 0

    def add(self, part: ArraysT) -> None:
        """Add a part, all of whose arrays are of one length."""
        length = self._length + len(_columns(part)[0])
        if self._whole is None or length > len(_columns(self._whole)[0]):
            self._whole = self._grown(part, length)
        for column, added in zip(_columns(self._whole), _columns(part), strict=True):
            column[self._length : length] = added
        self._length = length

    def _grown(self, part: ArraysT, length: int) -> ArraysT:
        # If parts are alike; else it is half as much again, of which nothing is touched before.
        room = max(length * 3 // 2, len(_columns(part)[0]) * self._parts * 11 // 10)
        whole = _each(lambda column: np.empty(room, column.dtype), part)
        if self._whole is not None:
            for column, had in zip(_columns(whole), _columns(self._whole), strict=True):
                column[: self._length] = had[: self._length]
        return whole

    def arrays(self) -> ArraysT:
        """Return all that was added; ValueError if nothing was."""
        if self._whole is None:
            message = "there are no parts"
            raise ValueError(message)
        return _each(lambda column: column[: self._length], self._whole)


def _columns(arrays: tuple[Any, ...]) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = []
    for each in arrays:
        found += _columns(each) if isinstance(each, tuple) else [each]
    return found


def _each(change: Callable[[NDArray[Any]], NDArray[Any]], arrays: ArraysT) -> ArraysT:
    """Return what becomes of each array."""
    changed = (_each(change, each) if isinstance(each, tuple) else change(each) for each in arrays)
    return type(arrays)(*changed)


def chosen(arrays: ArraysT, which: Booleans | Numbers) -> ArraysT:
    """Return some of each; `which` may be all."""
    if which.dtype == np.bool_ and which.all():
        return arrays
    return _each(lambda column: column[which], arrays)


def kept(arrays: ArraysT, which: Booleans) -> ArraysT:
    """Return those that are so, without a copy: the last of them take the others' places."""
    count = np.count_nonzero(which)
    left = np.flatnonzero(~which[:count])
    last = np.flatnonzero(which[count:]) + count
    for column in _columns(arrays):
        column[left] = column[last]
    return _each(lambda column: column[:count], arrays)
