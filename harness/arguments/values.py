"""How an argument is added and how its text becomes a value; ValueError where it is none."""

from argparse import ArgumentTypeError, _ArgumentGroup
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["add", "checked", "count", "seconds"]

Value = TypeVar("Value")


def add(
    group: _ArgumentGroup, flag: str, *, include_in_web_ui: bool = True, **argument: Any
) -> None:
    """Add an argument to a group; Locust can tell only its parser what the web UI shows."""
    action = group.add_argument(flag, **argument)
    vars(action)["include_in_web_ui"] = include_in_web_ui


def checked(parse: Callable[[str], Value], *, keep: bool = False) -> Callable[[str], Value | str]:
    """Make an argparse type of `parse`; `keep` leaves the text for the web UI to show."""

    def check(text: str) -> Value | str:
        try:
            value = parse(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from error
        return text if keep else value

    return check


def seconds(value: str | float) -> float:
    """Read a time in seconds."""
    found = float(value)
    if not 0 < found <= 3600:  # noqa: PLR2004
        message = f"{value!r} is not a time in seconds above 0 and up to 3600"
        raise ValueError(message)
    return found


def count(value: str | int) -> int:
    """Read a number of things, at least one."""
    found = int(value)
    if not 0 < found <= 1_000_000:  # noqa: PLR2004
        message = f"{value!r} is not a number from 1 to 1000000"
        raise ValueError(message)
    return found
