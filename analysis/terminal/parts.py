"""What everything on the terminal is made of: text that cannot steer it, and tables."""

from collections.abc import Sequence

from rich import box
from rich.table import Table


def safe(text: str) -> str:
    """Return text with everything that could steer a terminal made visible."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def known(count: int | None) -> str:
    """Return a count, or a dash where it is not known."""
    return "–" if count is None else str(count)


def grid(*columns: str, right: Sequence[str] = (), has_header: bool = True) -> Table:
    """Return an empty table; the columns in `right` are numbers."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        header_style="dim",
        show_edge=False,
        show_header=has_header,
    )
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table
