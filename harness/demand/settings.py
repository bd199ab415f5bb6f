"""How customers order: when, how often again, and what. The arguments, and what they become."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, replace

from harness.arguments.values import ArgumentGroup, checked, count, seconds
from harness.customers.retries import Retries, RetryKind
from harness.demand.schedule import Rate, Spacing, parse_rate
from harness.errors import BadArgument

_QUANTITY_MAX = 3
_QUANTITY_MAX_OF_WATERMARKS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSettings:
    """`arrival_rate` is None where shoppers order whenever they have time to."""

    quantity_max: int
    arrival_rate: Rate | None
    arrivals: Spacing
    arrivals_open_max: int
    retries: Retries
    watermark: bool
    watermark_window_s: float

    @classmethod
    def from_options(cls, options: Namespace) -> "OrderSettings":
        """Read Locust's parsed options; ValueError where one makes no sense."""
        has_watermark = bool(options.watermark)
        default_max = _QUANTITY_MAX_OF_WATERMARKS if has_watermark else _QUANTITY_MAX
        return cls(
            quantity_max=_optional_count(options.order_quantity_max) or default_max,
            arrival_rate=_optional_rate(options.arrival_rate),
            arrivals=Spacing(options.arrivals),
            arrivals_open_max=count(options.arrivals_open_max),
            retries=Retries(
                kind=RetryKind(options.retry),
                attempts_max=count(options.retry_attempts),
                backoff_s=seconds(options.retry_backoff),
                backoff_max_s=seconds(options.retry_backoff_max),
                retry_after_max_s=seconds(options.retry_after_max),
            ),
            watermark=has_watermark,
            watermark_window_s=seconds(options.watermark_window),
        )

    @property
    def is_shared_out(self) -> bool:
        """Whether each process needs a part of its own."""
        return self.arrival_rate is not None or self.watermark

    def rate_over(self, run_time_s: float | None) -> Rate | None:
        """Return the arrival rate for a run of this time; BadArgument if that must be known."""
        rate = self.arrival_rate
        if rate is None or not rate.is_ramp:
            return rate
        if not run_time_s:
            raise BadArgument(
                "--arrival-rate as a ramp needs a --run-time, which is what it goes over"
            )
        return replace(rate, over_s=float(run_time_s))

    def check(self, *, run_time_s: float | None, parts: int) -> None:
        """Raise BadArgument for what only a run's time and its processes show to be wrong."""
        self.rate_over(run_time_s)
        if self.watermark and self.quantity_max < parts:
            raise BadArgument(
                f"--order-quantity-max {self.quantity_max} gives {parts} processes too few "
                "watermarks: each needs a quantity of its own"
            )

    def to_keep(self) -> dict[str, object]:
        """Return what run.json says of them."""
        rate = self.arrival_rate
        return {
            "order_quantity_max": self.quantity_max,
            "arrival_rate": None if rate is None else [rate.begins, rate.ends],
            "arrivals": self.arrivals.value,
            "arrivals_open_max": self.arrivals_open_max,
            "retry": self.retries.kind.value,
            "retry_attempts": self.retries.attempts_max,
            "retry_backoff_s": self.retries.backoff_s,
            "retry_backoff_max_s": self.retries.backoff_max_s,
            "retry_after_max_s": self.retries.retry_after_max_s,
            "watermark": self.watermark,
            "watermark_window_s": self.watermark_window_s,
        }


def add_order_arguments(parser: ArgumentParser) -> None:
    """Add the arguments; each may come from its environment variable or a config file too."""
    _add_arrival_arguments(parser)
    _add_retry_arguments(parser)
    _add_watermark_arguments(parser)


def _add_arrival_arguments(parser: ArgumentParser) -> None:
    group = ArgumentGroup(parser, "Open arrivals")
    group.add_text(
        "--arrival-rate",
        "<rate>",
        "Orders per second over all processes, started when due however many are stuck: "
        "20, or 5..50 for a ramp over the run time. Shoppers then only browse. "
        "Default: shoppers order, each when it has its last answer",
        type=checked(_optional_rate, keep=True),
    )
    group.add_choice(
        "--arrivals",
        [each.value for each in Spacing],
        "How arrivals are spaced: evenly, or randomly as those of many customers are",
        default=Spacing.CONSTANT.value,
    )
    group.add(
        "--arrivals-open-max",
        type=checked(count),
        default=1000,
        metavar="<orders>",
        help="How many arrivals may be open at once, over all processes (each may have one); "
        "those above are recorded as unsent (too_many_open). Default: 1000",
    )


def _add_retry_arguments(parser: ArgumentParser) -> None:
    group = ArgumentGroup(parser, "Retries")
    group.add_choice(
        "--retry",
        [each.value for each in RetryKind],
        "Whether customers repeat an order that got no good answer (indeterminate, unsent, "
        "429): not at all, blind with a new key each time, or keyed with the same key",
        default=RetryKind.NONE.value,
    )
    group.add(
        "--retry-attempts",
        type=checked(count),
        default=3,
        metavar="<attempts>",
        help="Attempts at one order in all, the first included. Default: 3",
    )
    group.add_seconds(
        "--retry-backoff",
        0.2,
        "The first pause is random up to this, and each later one up to twice as long as "
        "the one before (exponential backoff with full jitter).",
    )
    group.add_seconds("--retry-backoff-max", 5.0, "The longest of these pauses.")
    group.add_seconds(
        "--retry-after-max",
        60.0,
        "How long customers are willing to wait where the shop answers Retry-After; if it "
        "asks for more they give up, and never come sooner than asked.",
    )


def _add_watermark_arguments(parser: ArgumentParser) -> None:
    group = ArgumentGroup(parser, "What is ordered")
    group.add_text(
        "--order-quantity-max",
        "<pieces>",
        f"Pieces in the largest order. Default: {_QUANTITY_MAX}; with --watermark "
        f"{_QUANTITY_MAX_OF_WATERMARKS}, which makes large orders where small ones are taken",
        type=checked(_optional_count, keep=True),
    )
    group.add(
        "--watermark",
        action="store_true",
        help="Choose product and quantity so that no two orders that could be mistaken for each "
        "other share both: for shops that store no order key",
    )
    group.add_seconds(
        "--watermark-window",
        60.0,
        "How long product and quantity of an order without a definite answer are not "
        "ordered again.",
    )


def _optional_rate(text: str) -> Rate | None:
    return parse_rate(text) if text.strip() else None


def _optional_count(text: str) -> int | None:
    return count(text) if text.strip() else None
