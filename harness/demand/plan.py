"""What the processes of one run agree on before users start: a seed, and which part is whose.

The master makes it and Locust carries it to the workers, among its options.
"""

import random
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass

_OPTION = "chaos_plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process' part among those that share the orders, counted from 0."""

    index: int = 0
    count: int = 1

    def of(self, total: int) -> int:
        """Return this part of a number that is shared out; never nothing."""
        return max(1, total // self.count + (self.index < total % self.count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`workers` holds who shares the orders, by Locust's client id; nobody where there is one.

    `run_time_s` is None for a run that goes on until it is stopped.
    """

    seed: int
    run_time_s: float | None
    workers: tuple[str, ...] = ()

    @classmethod
    def make(cls, *, run_time_s: float | None, workers: Iterable[str] = ()) -> "Plan":
        """Plan a new run for these workers."""
        seed = random.SystemRandom().getrandbits(32)
        return cls(seed=seed, run_time_s=run_time_s, workers=tuple(workers))

    @classmethod
    def from_options(cls, options: Namespace) -> "Plan":
        """Read what `put_into` left there."""
        content = getattr(options, _OPTION)
        return cls(
            seed=int(content["seed"]),
            run_time_s=content["run_time_s"],
            workers=tuple(content["workers"]),
        )

    def put_into(self, options: Namespace) -> None:
        """Put it where Locust sends it along."""
        content = {"seed": self.seed, "run_time_s": self.run_time_s, "workers": list(self.workers)}
        setattr(options, _OPTION, content)

    @property
    def parts(self) -> int:
        """How many processes share the orders."""
        return max(1, len(self.workers))

    def part_of(self, worker: str | None) -> Part | None:
        """Return a worker's part; None for one that came after the plan was made.

        Without a worker it is a Locust by itself, which has it all.
        """
        if worker is None:
            return Part()
        if worker not in self.workers:
            return None
        return Part(index=self.workers.index(worker), count=self.parts)
