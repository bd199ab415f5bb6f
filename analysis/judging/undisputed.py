"""Attempts that leave nothing to find out, in numbers: what `bulk` sets aside. Pure.

Every number is that of attempts and rows that share no key, no id and no retry with any other, so
that what is found of the others does not depend on them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from analysis.evidence.records import Outcome, Product, Verdict

FIRST_TOLD = 3  # committed attempts: their stories are told, so that they are looked at one by one

Stretch = tuple[int, int]  # from, to: an offset of clocks in microseconds


class Ending(NamedTuple):
    """How an attempt ended for its client, and what was found of it (None without a table)."""

    outcome: Outcome
    verdict: Verdict | None
    http_status: int | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisputed:
    """What was set aside.

    `endings` counts attempts. Each that is confirmed or committed has one row of its own, as it was
    ordered; the others have none. `sold` are the pieces of these rows by product, `hidden` those of
    the committed ones together and what they cost. How long the attempts took is a count for each
    number of microseconds: from when they were due, from their sending where they were due, and
    from their sending where they were not.

    Each of the confirmed allows a stretch of clock offsets (see `clock`): `common` are stretches
    that hold of all of them together, `edges` gives the ends of each in order, as (offset, is end).
    """

    endings: Mapping[Ending, int] = field(default_factory=dict)
    sold: Mapping[int, int] = field(default_factory=dict)
    hidden: tuple[int, Decimal] = (0, Decimal(0))
    from_due: Mapping[int, int] = field(default_factory=dict)
    from_sent_of_due: Mapping[int, int] = field(default_factory=dict)
    from_sent_of_others: Mapping[int, int] = field(default_factory=dict)
    common: Sequence[Stretch] = ()
    edges: Callable[[], Iterable[tuple[int, int]]] = tuple

    @property
    def attempts(self) -> int:
        """How many attempts were set aside."""
        return sum(self.endings.values())

    @property
    def rows(self) -> int:
        """How many rows are theirs."""
        return self.count(Verdict.CONFIRMED) + self.count(Verdict.COMMITTED)

    def count(self, verdict: Verdict) -> int:
        """Return how many of them have this verdict."""
        return sum(count for ending, count in self.endings.items() if ending.verdict is verdict)


NONE_UNDISPUTED = Undisputed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What decides which attempts are undisputed.

    None is in flight at `fault_at`. `may_be_absent` is false where rows may be missing. Where there
    is a log of the load balancer (`has_log`), none is whose line in it may be wanted.
    """

    products: Sequence[Product] | None
    fault_at: int | None = None
    may_be_absent: bool = True
    has_log: bool = False
