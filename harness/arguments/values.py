"""How an argument is added and how its text becomes a value; ValueError where it is none."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, TypeVar

Value = TypeVar("Value")


class ArgumentGroup:
    """Adds arguments under one title. Each may come from CHAOS_ and its flag's name, too.

    The web UI's form shows them; whoever reaches the page can change those.
    """

    def __init__(self, parser: ArgumentParser, title: str) -> None:
        self._group = parser.add_argument_group(title)
        self.is_in_form = True

    @property
    def hidden(self) -> "ArgumentGroup":
        """The same group, for what no form is to show."""
        group = copy(self)
        group.is_in_form = False
        return group

    def add(self, *flags: str, env_var: str = "", **argument: Any) -> None:
        """Add an argument as argparse knows it."""
        env_var = env_var or f"CHAOS_{flags[0][2:].replace('-', '_').upper()}"
        action = self._group.add_argument(*flags, env_var=env_var, **argument)
        # Locust can tell only its parser what its form shows.
        vars(action)["include_in_web_ui"] = self.is_in_form

    def add_seconds(self, flag: str, default: float, about: str) -> None:
        """Add a time in seconds; the default is told by itself."""
        about = f"{about} Default: {default:g}"
        self.add(flag, type=checked(seconds), default=default, metavar="<seconds>", help=about)

    def add_text(self, flag: str, metavar: str, about: str, **more: Any) -> None:
        """Add a text, by default empty."""
        self.add(flag, **{"default": "", "metavar": metavar, "help": about, **more})

    def add_choice(self, flag: str, choices: Sequence[str], about: str, **more: Any) -> None:
        """Add one of a few words, by default the first of them."""
        self.add(flag, **{"choices": list(choices), "default": choices[0], "help": about, **more})


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
        raise ValueError(f"{value!r} is not a time in seconds above 0 and up to 3600")
    return found


def count(value: str | int) -> int:
    """Read a number of things, at least one."""
    found = int(value)
    if not 0 < found <= 1_000_000:  # noqa: PLR2004
        raise ValueError(f"{value!r} is not a number from 1 to 1000000")
    return found
