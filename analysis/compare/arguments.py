"""The arguments of the command `compare`, apart from all that it takes long to import."""

import argparse
from pathlib import Path

_CONFIDENCE = 0.99


def add_comparison(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `compare`."""
    what = "a run directory, or a PREFIX of Locust's PREFIX_stats.csv"
    parser.add_argument("base", type=Path, metavar="BASE", help=f"what is compared with: {what}")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the same, one or more")
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="CONDITION",
        help="exit with 1 if it is met, with 2 if noise may be all there is to it: "
        "'p95(POST /orders) > 1.2x', 'failures > 5%%', 'committed > 0', 'window(client) > 30s'",
    )
    parser.add_argument(
        "--confidence",
        type=_share,
        default=_CONFIDENCE,
        metavar="SHARE",
        help="of the intervals (%(default)g); what has no change calls one a change so rarely",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the comparison as CSV")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write it as a page")


def _share(text: str) -> float:
    share = float(text)
    if not 0.5 <= share <= 0.99:  # noqa: PLR2004 -- beyond that the draws are too few
        raise argparse.ArgumentTypeError(f"{text!r} is no confidence; give one from 0.5 to 0.99")
    return share
