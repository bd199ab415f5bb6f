"""How the load goes, second by second, while it goes on: for what has to be decided meanwhile."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.record.counts_by_second import Second
from harness.record.reported_counts import LiveFleet

# Two halves of a steady stretch may differ by that, or by what chance alone does.
_CALM_SHARE = 0.15
_CALM_SIGMAS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was measured in the second that began at `at`; what is not known is not in `values`."""

    at: int
    values: Mapping[str, float]


@dataclass(slots=True, kw_only=True)
class Pulse:
    """Figures of one run. `lag_s` is how late the reports of its processes may come.

    `gather` brings what is new into the fleet; `healthy` says how many targets are, None for
    unknown; `users` how many users there are, of `users_wanted`.
    """

    fleet: LiveFleet
    gather: Callable[[], None]
    users: Callable[[], int]
    healthy: Callable[[], int | None]
    users_wanted: Callable[[], int | None]
    lag_s: float = 0.0

    def whole_second(self) -> int:
        """Return the newest second of which everything is known."""
        return math.floor(time.time() - self.lag_s) - 1

    def read(self, at: int) -> Reading:
        """Return what was measured in one second."""
        second = self.fleet.second(at)
        values: dict[str, float] = {"rate": float(second.requests)}
        if second.requests:
            values["error_rate"] = second.failed_share
            for name, share in {"p50": 0.5, "p95": 0.95, "p99": 0.99}.items():
                values[name] = second.percentile_ms(share) or 0.0
        orders = self.fleet.orders()
        values["orders_in_doubt"] = float(orders["indeterminate"])
        values["orders_lost"] = float(self.fleet.orders_lost)
        healthy = self.healthy()
        if healthy is not None:
            values["healthy_targets"] = float(healthy)
        return Reading(at=at, values=values)

    def failed_share(self, last_s: int) -> float | None:
        """Return the share that failed of what has ended lately; None where nothing has."""
        self.gather()
        newest = math.floor(time.time())
        summed = Second()
        for at in range(newest - last_s, newest + 1):
            summed.add(self.fleet.second(at))
        return summed.failed_share if summed.requests or summed.failures else None

    def why_not_steady(self, steady_s: float, *, errors_max: float) -> str:
        """Say why the load is not steady; empty if it is.

        It is where all users are there, and in the last `steady_s` whole seconds the requests
        per second of both halves differ by 15 % at most (or by what chance explains), and no
        larger share than `errors_max` failed in either.
        """
        self.gather()
        wanted = self.users_wanted()
        if wanted is not None and self.users() < wanted:
            return f"{self.users()} of {wanted} users are there"
        newest, length = self.whole_second(), max(2, math.ceil(steady_s))
        middle = newest - length // 2
        halves = [Second(), Second()]
        for at in range(newest - length + 1, newest + 1):
            halves[at > middle].add(self.fleet.second(at))
        first_s, second_s = length - length // 2, length // 2
        early, late = halves[0].requests / first_s, halves[1].requests / second_s
        if not early or not late:
            return "nothing ended in a half of the time"
        chance = _CALM_SIGMAS * math.sqrt(early / first_s + late / second_s)
        if abs(early - late) > max(_CALM_SHARE * max(early, late), chance):
            return f"{early:.1f} and then {late:.1f} requests/s"
        failed = max(each.failed_share for each in halves)
        return f"{failed:.1%} of the requests failed" if failed > errors_max else ""
