"""What reading a shop's database takes, whichever way leads to it.

Two do: PostgreSQL's own protocol (`postgres`), and AWS's RDS Data API (`data_api`). Queries return
whole numbers, texts, truth values and None alone; other types differ between the two ways.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

# What `Session.limit` sets: waiting for a lock is no running of a statement to PostgreSQL.
LIMITS = ("statement_timeout", "lock_timeout")

# How a snapshot is read: rows that a policy hides are an error instead of missing in silence, and
# floating point is told to its last digit.
AS_STORED = {"row_security": "off", "extra_float_digits": "3"}

# What to do about a privilege that is lacking.
GRANTS = "the role needs SELECT on all of it, and BYPASSRLS where a policy hides rows"

_READ = re.compile(r"\bFROM (orders|products|pg_\w+)")

Value = int | str | bool | list[str] | None
Row = Mapping[str, int | str | bool | None]


class Session(Protocol):
    """A way to one database. All of it raises DatabaseError, in one line without a password."""

    @property
    def database(self) -> str:
        """The database's name, for errors."""
        ...

    def rows(self, query: str, **values: Value) -> list[Row]:
        """Return what a query finds; `%(name)s` in it stands for a value, a list for text[]."""
        ...

    def stream(self, query: str, *, above_id: int) -> Iterator[Row]:
        """Yield what a query finds, without ever holding all of it.

        Its rows have an `id`, all above `%(above_id)s`, and are in the order of their ids.
        """
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """Have every query within it see the tables as they stood at one moment."""
        ...

    def limit(self, limit_s: float) -> AbstractContextManager[None]:
        """Give up on a query within it that takes longer."""
        ...


def subject_of(query: str) -> str:
    """Return which table a query of ours reads, for errors."""
    found = _READ.findall(query)  # the last: before it, times are extracted FROM columns
    return f" while reading {found[-1]}" if found else ""
