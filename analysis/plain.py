"""Orders of which there is nothing to find out, in numbers: what `sieve` sets aside. Pure.

Every number is that of attempts and rows that share no key, no id and no retry with any other, so
that what is found of the others does not depend on them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from analysis.records import Product

__all__ = ["FIRST_TOLD", "NOTHING_PLAIN", "Ending", "Plain", "Question", "Stretch"]

FIRST_TOLD = 3  # committed attempts: their stories are told, so that they are looked at one by one

Ending = tuple[int | None, str]  # the HTTP status and the error that a client saw
Stretch = tuple[int, int]  # from, to: an offset of clocks in microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """What was set aside.

    `confirmed` attempts were acknowledged, and each has a row of its own as it was ordered;
    `committed` and `absent` ones ended without a definite answer, so many with each ending, and
    have such a row or none. `sold` are the pieces of the rows by product, `hidden` those of the
    committed ones together and what they cost. The rest is how long the attempts took, as a count
    for each number of microseconds: from when they were due, from their sending where they were
    due, and from their sending where they were not.

    `agreed` returns the stretch of clock offsets that most of the confirmed and of further ones
    allow, as `clock` defines it.
    """

    confirmed: int = 0
    committed: Mapping[Ending, int] = field(default_factory=dict)
    absent: Mapping[Ending, int] = field(default_factory=dict)
    hidden: tuple[int, Decimal] = (0, Decimal(0))
    sold: Mapping[int, int] = field(default_factory=dict)
    from_due: Mapping[int, int] = field(default_factory=dict)
    from_sent_of_due: Mapping[int, int] = field(default_factory=dict)
    from_sent_of_others: Mapping[int, int] = field(default_factory=dict)
    agreed: Callable[[Sequence[Stretch]], Stretch | None] | None = None

    @property
    def attempts(self) -> int:
        """How many attempts were set aside."""
        return self.rows + self.all_absent

    @property
    def rows(self) -> int:
        """How many rows are theirs."""
        return self.confirmed + self.all_committed

    @property
    def all_committed(self) -> int:
        """How many of them are committed."""
        return sum(self.committed.values())

    @property
    def all_absent(self) -> int:
        """How many of them are absent."""
        return sum(self.absent.values())


NOTHING_PLAIN = Plain()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What decides which attempts are plain.

    None is in flight at `fault_at` or, where there is a log of the load balancer (`has_log`) to
    know servers by, the last that a server answered. `may_be_absent` is false where rows may be
    missing.
    """

    products: Sequence[Product] | None
    fault_at: int | None = None
    may_be_absent: bool = True
    has_log: bool = False
