"""The CSV tables of a run: which columns each has and how a cell is read and written.

Pure: from cells to records and back. Files are opened in `run_directory`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Generic, TypeVar

from analysis.evidence.answers import outcome_recorded
from analysis.evidence.records import (
    Attempt,
    Event,
    OrderRow,
    Outcome,
    Product,
    Request,
    format_time,
    parse_time,
)

_SHOWN_CHARACTERS = 60
_DIGITS_AT_MOST = 1000  # of money; reckoning with far more of them overflows


def _parse_whole(text: str) -> int:
    if not (text.isascii() and text.removeprefix("-").isdigit()):
        raise ValueError("not a whole number")
    return int(text)


def _parse_money(text: str) -> Decimal:
    try:
        money = Decimal(text)
    except InvalidOperation as error:
        raise ValueError("not an amount of money") from error
    if not money.is_finite() or abs(money.adjusted()) > _DIGITS_AT_MOST:
        raise ValueError("not an amount of money")
    return money


def _render_money(amount: Decimal) -> str:
    return format(amount, "f") if amount.is_finite() else ""  # PostgreSQL knows NaN


class Kind(StrEnum):
    """What a column holds, for formats that have types."""

    TEXT = "text"
    WHOLE = "whole numbers"
    TIME = "times"
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class Cell:
    """How one kind of cell is read and written; an unknown value is empty.

    A file without a late column is older than the column: its record's default is taken.
    """

    parse: Callable[[str], object]
    render: Callable[[Any], str] = str
    is_optional: bool = False
    is_late: bool = False
    kind: Kind = Kind.TEXT

    def write(self, value: object) -> str:
        """Return the cell's text."""
        return "" if value is None else self.render(value)


# By the types of the records' fields; those that hold a time are named so.
_CELLS: dict[object, Cell] = {
    str: Cell(str),
    Outcome: Cell(Outcome),
    int: Cell(_parse_whole, kind=Kind.WHOLE),
    int | None: Cell(_parse_whole, is_optional=True, kind=Kind.WHOLE),
    Decimal | None: Cell(_parse_money, _render_money, is_optional=True, kind=Kind.MONEY),
}
_TIMES: dict[object, Cell] = {
    int: Cell(parse_time, format_time, kind=Kind.TIME),
    int | None: Cell(parse_time, format_time, is_optional=True, kind=Kind.TIME),
}

RecordT = TypeVar("RecordT")


@dataclass(frozen=True, slots=True)
class Table(Generic[RecordT]):
    """A CSV file of the run directory and the record each of its rows is."""

    file_name: str
    record: Callable[..., RecordT]
    columns: Mapping[str, Cell]

    def reader(self, header: Sequence[str]) -> Callable[[Sequence[str]], RecordT]:
        """Return what turns one row under this header into its record; both raise ValueError."""
        missing = [
            name for name, cell in self.columns.items() if name not in header and not cell.is_late
        ]
        if missing:
            raise ValueError(f"its header lacks {', '.join(missing)}")
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise ValueError(f"its header names {_shown(', '.join(twice))} twice")
        here = [(name, header.index(name)) for name in self.columns if name in header]
        # A text is as it stands in the file: what that saves is felt in large runs, as is a loop
        # without calls.
        texts = [(name, place) for name, place in here if self.columns[name].parse is str]
        others = [
            (name, place, self.columns[name].parse, self.columns[name].is_optional)
            for name, place in here
            if self.columns[name].parse is not str
        ]

        def read(cells: Sequence[str]) -> RecordT:
            if len(cells) != len(header):
                raise ValueError(f"it has {len(cells)} cells under a header of {len(header)}")
            values: dict[str, object] = {name: cells[place] for name, place in texts}
            for name, place, parse, is_optional in others:
                text = cells[place]
                try:
                    values[name] = None if is_optional and text == "" else parse(text)
                except ValueError as error:
                    raise ValueError(
                        f"its {name} is {_shown(text)!r}: {_shown(str(error))}"
                    ) from error
            return self.record(**values)

        return read

    def cells(self, record: RecordT) -> list[str]:
        """Return a record's cells in the order of the columns."""
        return [cell.write(getattr(record, name)) for name, cell in self.columns.items()]


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def _attempt(*, outcome: Outcome, http_status: int | None, **values: Any) -> Attempt:
    outcome = outcome_recorded(outcome, http_status)
    return Attempt(outcome=outcome, http_status=http_status, **values)


def _columns_of(record: Any) -> dict[str, Cell]:
    """Return a column for each field of a record, by name and type; one with a default is late."""
    columns = {}
    for each in fields(record):
        is_time = each.name == "at" or each.name.endswith("_at")
        cell = (_TIMES if is_time else _CELLS)[each.type]
        columns[each.name] = replace(cell, is_late=each.default is not MISSING)
    return columns


ATTEMPTS = Table("attempts.csv", _attempt, _columns_of(Attempt))
REQUESTS = Table("requests.csv", Request, _columns_of(Request))
ORDERS = Table("orders.csv", OrderRow, _columns_of(OrderRow))
PRODUCTS = Table("products.csv", Product, _columns_of(Product))
EVENTS = Table("events.csv", Event, _columns_of(Event))
