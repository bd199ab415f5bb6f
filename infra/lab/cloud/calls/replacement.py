"""One replacement: which of moto's attributes, and what stands there instead."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Replacement(NamedTuple):
    """`owner`'s attribute `name`; `is_new` where moto has none of that name."""

    owner: Any
    name: str
    value: Any
    is_new: bool = False


def method(ours: Callable[..., Any]) -> Callable[..., Any]:
    """As a method of moto's class: the object that it is called on becomes the first argument."""
    return lambda *given, **named: ours(*given, **named)  # noqa: PLW0108  (`ours` is bound already)
