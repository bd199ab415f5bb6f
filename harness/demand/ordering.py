"""What the orders of one process and run have in common: what is ordered, and when again."""

import random
import time
from collections.abc import Callable, Sequence

from gevent.event import Event

from harness.demand.arrivals import Arrivals, Arriving, Note
from harness.demand.plan import Part, Plan
from harness.demand.schedule import due_times
from harness.demand.settings import OrderSettings
from harness.demand.watermarks import Cell, Watermarks


class Desk:
    """Where customers order: `start`, `stop` (nothing begins any more), `close`.

    `part` is None for a worker that came too late to have one. `note` takes an event of the run
    and its detail.
    """

    def __init__(
        self, settings: OrderSettings, plan: Plan, part: Part | None, *, note: Note
    ) -> None:
        self.settings = settings
        self._plan = plan
        self._part = part
        self._note = note
        self._stopping = Event()
        self._arrivals: Arrivals | None = None
        self._watermarks = _watermarks(settings, plan, part) if settings.watermark else None
        self._was_exhausted = False

    @property
    def shoppers_order(self) -> bool:
        """Whether shoppers order; otherwise they only browse."""
        is_left_out = self.settings.is_shared_out and self._part is None
        return self.settings.arrival_rate is None and not is_left_out

    def start(
        self, new_customer: Callable[[], Arriving], *, on_our_fault: Callable[[BaseException], None]
    ) -> None:
        """Begin the arrivals, where there are to be any."""
        if self.settings.is_shared_out and self._part is None:
            late = "a worker came after the orders were shared out: its customers only browse"
            self._note("worker_without_part", late)
            return
        rate = self.settings.rate_over(self._plan.run_time_s)
        if rate is None or self._part is None:
            return
        times = due_times(
            rate,
            self.settings.arrivals,
            seed=self._plan.seed,
            part=self._part.index,
            parts=self._part.count,
        )
        self._arrivals = Arrivals(
            times,
            open_max=self._part.of(self.settings.arrivals_open_max),
            new_customer=new_customer,
            note=self._note,
            on_our_fault=on_our_fault,
        )
        self._arrivals.start()

    def stop(self) -> None:
        """Let nothing begin any more: no arrival, and no retry."""
        self._stopping.set()
        if self._arrivals is not None:
            self._arrivals.stop()

    def close(self, grace_s: float) -> None:
        """End what arrivals are still open `grace_s` after the stop, and note what there was."""
        self.stop()
        if self._arrivals is not None:
            self._arrivals.close(grace_s)
        marks = self._watermarks
        if marks is not None and marks.exhausted:
            self._note(
                "watermark_exhausted",
                f"{marks.exhausted} orders may be mistaken for others: no product and quantity "
                "was free for them",
            )

    def choose(self, product_ids: Sequence[int]) -> Cell:
        """Choose one of these products and how many; give it back with `release`."""
        if self._watermarks is None:
            quantity = random.randint(1, self.settings.quantity_max)
            return Cell(product_id=random.choice(product_ids), quantity=quantity)
        cell = self._watermarks.take(product_ids, at_s=time.monotonic())
        if self._watermarks.exhausted and not self._was_exhausted:
            self._was_exhausted = True
            self._note(
                "watermark_exhausted",
                f"no product and quantity up to {self.settings.quantity_max} is free: from now on "
                "orders may be mistaken for each other",
            )
        return cell

    def release(self, cell: Cell, *, is_open: bool) -> None:
        """Give back what was chosen; `is_open` where a row of it may yet come."""
        if self._watermarks is not None:
            self._watermarks.release(cell, at_s=time.monotonic(), is_open=is_open)

    def pause(self, seconds: float) -> bool:
        """Wait before a retry; False, and at once, when the run is stopping."""
        self._stopping.wait(seconds)
        # Not what `wait` returns: it may have timed out just before the stop.
        return not self._stopping.is_set()


def _watermarks(settings: OrderSettings, plan: Plan, part: Part | None) -> Watermarks | None:
    if part is None:
        return None
    return Watermarks(
        quantity_max=settings.quantity_max,
        window_s=settings.watermark_window_s,
        seed=plan.seed,
        part=part.index,
        parts=part.count,
    )
