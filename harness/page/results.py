"""What was found of a run, from its directory, as far as the page shows it."""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_UNTOLD_MAX = 200
# What a run's directory may hold that people want, in the order in which they want it.
_KNOWN = (
    *("report.html", "summary.json", "reconciliation.csv", "attempts.csv", "orders.csv"),
    *("products.csv", "events.csv", "requests.csv", "run.json", "junit.xml", "report.png"),
    *("locust_stats.csv", "locust_stats_history.csv", "locust_failures.csv"),
    *("locust_exceptions.csv", "elb_access.log"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A judged run: its summary, its attempts by outcome and verdict, and untold orders.

    `untold` are orders in the table that no customer was told of: the first few hundred of
    `untold_count`. `trouble` says why there are no results.
    """

    summary: dict[str, Any] | None = None
    table: list[dict[str, Any]] = field(default_factory=list)
    untold: list[dict[str, str]] = field(default_factory=list)
    untold_count: int = 0
    files: list[str] = field(default_factory=list)
    trouble: str = ""


def known_files(folder: Path) -> list[str]:
    """Return the files of a run's directory that may be fetched."""
    return [name for name in _KNOWN if (folder / name).is_file()]


def read_results(folder: Path) -> Results:
    """Read what the analysis has left; what cannot be read is said."""
    files = known_files(folder)
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        with (folder / "reconciliation.csv").open(encoding="utf-8", newline="") as rows:
            table, untold, untold_count = _tell(csv.DictReader(rows))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        why = f"{folder.name} was not judged to the end ({type(error).__name__}); `make finish` may"
        return Results(files=files, trouble=why)
    return Results(
        summary=summary, table=table, untold=untold, untold_count=untold_count, files=files
    )


def _tell(rows: Iterable[dict[str, str]]) -> tuple[list[dict[str, Any]], list[dict[str, str]], int]:
    """Count attempts by outcome and verdict, and pick the orders nobody was told of."""
    counts: dict[tuple[str, str], int] = {}
    acknowledged: set[str] = set()
    committed: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["kind"] != "attempt":
            continue
        place = (row["outcome"], row["verdict"])
        counts[place] = counts.get(place, 0) + 1
        if row["outcome"] == "acknowledged":
            acknowledged.add(row["order_key"])
        elif row["verdict"] == "committed":
            committed[row["order_key"]] = row
    untold = [row for key, row in committed.items() if key not in acknowledged]
    table = [
        {"outcome": outcome, "verdict": verdict, "attempts": count}
        for (outcome, verdict), count in sorted(counts.items())
    ]
    return table, [_as_order(row) for row in untold[:_UNTOLD_MAX]], len(untold)


def _as_order(row: dict[str, str]) -> dict[str, str]:
    wanted = ("order_id", "order_key", "attempt_id", "product_id", "quantity", "evidence")
    told = row["error"] or row["http_status"]
    return {**{name: row[name] for name in wanted}, "told": told}
