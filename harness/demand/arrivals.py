"""Orders that start when they are due, whether or not earlier ones are stuck.

A greenlet of its own for each, and a customer with a connection of its own: one who is idle, or a
new one. Nothing that is due goes unrecorded: what cannot be sent is recorded as unsent.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import gevent
from gevent.event import Event
from gevent.pool import Group

from harness.errors import NothingMore
from harness.record.journal import now

TOO_MANY_OPEN = "too_many_open"
RUN_STOPPING = "run_stopping"
_LOOK_FOR_PRODUCTS_EVERY_S = 0.5
# A dispatcher that comes later than this has not had the processor when it needed it.
_LATE_S = 0.1
# After the stop others wait for this process: so long it may write what it did not come to.
_RECORD_FOR_S = 2.0

Note = Callable[[str, str], None]


class Arriving(Protocol):
    """A customer as far as arrivals need one."""

    def look_for_products(self) -> Sequence[int]:
        """Ask the shop what there is; empty where it does not say."""

    def order_one_of(self, product_ids: Sequence[int], *, due_at: int) -> object:
        """Order, with the retries that are set; NothingMore if nothing was sent."""

    def turn_away(self, product_ids: Sequence[int], *, due_at: int, error: str) -> None:
        """Record an order that was due and is not sent."""


@dataclass(slots=True)
class _Counts:
    due: int = 0
    too_many_open: int = 0
    run_stopping: int = 0
    unrecorded: int = 0
    most_open: int = 0
    largest_lag_s: float = 0.0

    def sentence(self) -> str:
        not_sent = self.too_many_open + self.run_stopping + self.unrecorded
        parts = [f"{self.due} orders were due", f"{self.due - not_sent} sent"]
        if self.too_many_open:
            parts.append(f"{self.too_many_open} not sent since too many were open")
        if self.run_stopping:
            parts.append(f"{self.run_stopping} not sent since the run was stopping")
        if self.unrecorded:
            parts.append(
                f"at least {self.unrecorded} not sent, which nothing but this line records"
            )
        return f"{', '.join(parts)}; at most {self.most_open} were open at once"


class Arrivals:
    """The arrivals of one process: `start`, `stop` (no more begin), `close` (none is left).

    `times` are seconds from the start, in order. `note` takes an event and its detail.
    """

    def __init__(
        self,
        times: Iterator[float],
        *,
        open_max: int,
        new_customer: Callable[[], Arriving],
        note: Note,
        on_our_fault: Callable[[BaseException], None],
    ) -> None:
        self._times = times
        self._open_max = open_max
        self._new_customer = new_customer
        self._note = note
        self._on_our_fault = on_our_fault
        self._counts = _Counts()
        self._products: Sequence[int] = ()
        self._idle: list[Arriving] = []
        self._open = Group()
        self._stopping = Event()
        self._stopped = 0.0
        self._dispatcher: gevent.Greenlet[..., object] | None = None

    def start(self) -> None:
        """Begin the schedule now, in the background."""
        self._dispatcher = self._spawn(self._dispatch)

    def stop(self) -> None:
        """Let no order begin that is due from now on."""
        if not self._stopping.is_set():
            self._stopped = time.monotonic()
            self._stopping.set()

    def close(self, grace_s: float) -> None:
        """Give open orders `grace_s` from the stop on, end the rest, and note what there was."""
        self.stop()
        if self._dispatcher is not None:
            # Before it knows of products nothing is due. After that it may have millions to count.
            self._dispatcher.join(timeout=_RECORD_FOR_S + 1 if self._products else 0)
            self._dispatcher.kill()
        # One that is killed before its first turn could not even say that it was due.
        gevent.sleep(0)
        self._open.join(timeout=max(0.0, self._stopped + grace_s - time.monotonic()))
        self._open.kill()
        self._note("arrivals_ended", self._counts.sentence())
        if self._counts.largest_lag_s > _LATE_S:
            late = f"orders were started up to {self._counts.largest_lag_s:.1f} s after they were"
            self._note("arrivals_late", f"{late} due: this process has too much to do")

    # --- the dispatcher's greenlet ---

    def _dispatch(self) -> None:
        came = time.monotonic()
        scout = self._new_customer()
        self._products = self._look_for_products(scout)
        if not self._products:
            return
        began, began_at = time.monotonic(), now()
        self._note("arrivals_began", f"orders are due from now on ({began - came:.1f} s waited)")
        for due_s in self._times:
            self._wait_until(began + due_s)
            if self._stopping.is_set() and began + due_s >= self._stopped:
                return
            self._counts.due += 1
            due_at = began_at + round(due_s * 1e6)
            try:
                self._begin(scout, due_at, lag_s=time.monotonic() - began - due_s)
            except NothingMore:
                return  # the ledger takes no more, of which the process was told

    def _look_for_products(self, scout: Arriving) -> Sequence[int]:
        """Ask until the shop says what can be ordered; nothing is due before that."""
        is_told = False
        while not self._stopping.is_set():
            try:
                products = scout.look_for_products()
            except NothingMore:
                break
            if products:
                return products
            if not is_told:
                self._note("arrivals_waiting", "the shop does not say what can be ordered")
                is_told = True
            self._stopping.wait(_LOOK_FOR_PRODUCTS_EVERY_S)
        return ()

    def _wait_until(self, moment: float) -> None:
        # At least once, so that a dispatcher that is behind lets others have their turn.
        gevent.sleep(0)
        while not self._stopping.is_set():
            left_s = moment - time.monotonic()
            if left_s <= 0:
                return
            self._stopping.wait(left_s)

    def _begin(self, scout: Arriving, due_at: int, *, lag_s: float) -> None:
        if self._stopping.is_set():
            if time.monotonic() < self._stopped + _RECORD_FOR_S:
                self._turn_away(scout, due_at, RUN_STOPPING)
            else:
                self._counts.unrecorded += 1
        elif len(self._open) < self._open_max:
            self._open.add(self._spawn(self._order, scout, due_at))
            self._counts.largest_lag_s = max(self._counts.largest_lag_s, lag_s)
            self._counts.most_open = max(self._counts.most_open, len(self._open))
        else:
            if not self._counts.too_many_open:
                self._note(
                    "arrivals_full",
                    f"{len(self._open)} orders are open, which is --arrivals-open-max: while they "
                    f"are, orders that are due are not sent (recorded as {TOO_MANY_OPEN})",
                )
            self._turn_away(scout, due_at, TOO_MANY_OPEN)

    def _turn_away(self, scout: Arriving, due_at: int, error: str) -> None:
        if error == TOO_MANY_OPEN:
            self._counts.too_many_open += 1
        else:
            self._counts.run_stopping += 1
        scout.turn_away(self._products, due_at=due_at, error=error)

    # --- each order's greenlet ---

    def _order(self, scout: Arriving, due_at: int) -> None:
        customer = self._idle.pop() if self._idle else self._new_customer()
        try:
            if self._stopping.is_set():
                self._turn_away(scout, due_at, RUN_STOPPING)
                return
            customer.order_one_of(self._products, due_at=due_at)
        except NothingMore:
            return
        self._idle.append(customer)

    def _spawn(
        self, run: Callable[..., None], *arguments: object
    ) -> "gevent.Greenlet[..., object]":
        greenlet: gevent.Greenlet[..., object] = gevent.Greenlet(run, *arguments)
        greenlet.link_exception(self._on_failure)
        greenlet.start()
        return greenlet

    def _on_failure(self, greenlet: "gevent.Greenlet[..., object]") -> None:
        if greenlet.exception is not None:
            self._on_our_fault(greenlet.exception)
