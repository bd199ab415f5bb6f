"""Everything a run left behind, loaded, with what is missing or damaged said in words. Pure.

The loading itself is `judge_run`'s; here is what the checks are given.
"""

import sys
from dataclasses import dataclass, field

from analysis.evidence.records import Attempt, Event, OrderRow, Product, Request
from analysis.evidence.run import Before, Run, Settle
from analysis.judging.access_log import BalancerLog
from analysis.judging.undisputed import NONE_UNDISPUTED, Undisputed

_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A run as it is judged. None stands for a file that is missing or cannot be used.

    `attempts` and `orders` are without those that are `undisputed`, which are numbers alone.
    `balancer` holds the load balancer's lines of the orders that need them. `notes` says, for
    people, what is missing and why.
    """

    run: Run
    attempts: list[Attempt]
    orders: list[OrderRow] | None
    products: list[Product] | None
    requests: list[Request] | None = None
    events: list[Event] | None = None
    before: Before | None = None
    balancer: BalancerLog | None = None
    notes: list[str] = field(default_factory=list)
    undisputed: Undisputed = NONE_UNDISPUTED

    @property
    def is_settled(self) -> bool:
        """Whether the database is known to have come to rest before the last snapshot."""
        return self.run.settle is not None and self.run.settle.settled

    @property
    def was_settled_before(self) -> bool:
        """Whether it is not known to have been at work during the first snapshot."""
        return self._settle_before is None or self._settle_before.settled

    @property
    def _settle_before(self) -> Settle | None:
        return self.before.settle if self.before else None

    @property
    def unseen_up_to(self) -> int | None:
        """The id up to which rows of the run may be missing from orders.csv; None if none are."""
        if not self.run.older_rows:
            return None
        return self.before.max_order_id if self.before else sys.maxsize

    @property
    def is_whole(self) -> bool:
        """Whether no attempt without a record, and nobody from before, may have made a row."""
        is_idle_open = self._settle_before is not None and bool(self._settle_before.idle)
        return not self.gaps and self.was_settled_before and not is_idle_open

    @property
    def gaps(self) -> list[str]:
        """Say where the record of the attempts has holes."""
        found, incomplete = self.run.ledger, self.run.incomplete_ledgers
        gaps = []
        if found.torn_lines:
            gaps.append(f"{found.torn_lines} lines inside a ledger are torn")
        if found.cut_off:
            gaps.append(
                f"{found.cut_off} ledgers may lack their last lines: their .tail is missing, the "
                "machine has restarted, or they were moved before `finish`"
            )
        if found.unmatched_ends:
            gaps.append(f"{found.unmatched_ends} attempts ended that no ledger saw sent")
        gaps += [f"the ledger of worker {name} is not whole" for name in incomplete[:_NAMED]]
        if len(incomplete) > _NAMED:
            gaps.append(f"nor are {len(incomplete) - _NAMED} more")
        return gaps

    def may_lack_attempts_of(self, process_id: str) -> bool:
        """Whether that process may have made attempts that are not in the evidence."""
        found = self.run.ledger
        has_holes = found.torn_lines > 0 or found.cut_off > 0 or found.unmatched_ends > 0
        return has_holes or process_id in self.run.incomplete_ledgers
