"""What a benchmark found, and how it is shown and kept (build/bench.json)."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A median with the lowest and highest of its repetitions.

    `goal` is in words, and empty where the number is only told; `holds` is then true.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    goal: str = ""
    holds: bool = True


def median(
    name: str, values: Sequence[float], unit: str, *, at_least: float | None = None
) -> Measurement:
    """The median of repetitions, held against a goal where there is one."""
    value = statistics.median(values)
    return Measurement(
        name=name,
        value=round(value, 3),
        low=round(min(values), 3),
        high=round(max(values), 3),
        unit=unit,
        goal="" if at_least is None else f">= {at_least:g}",
        holds=at_least is None or value >= at_least,
    )


def write_measurements(measurements: Sequence[Measurement], file: Path) -> None:
    """Write them as a JSON list."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(each) for each in measurements]
    file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def show_measurements(measurements: Sequence[Measurement]) -> None:
    """Print them as a table."""
    table = Table("benchmark", "median", "low", "high", "unit", "goal", "holds")
    for each in measurements:
        mark = "" if not each.goal else "yes" if each.holds else "no"
        numbers = [f"{number:,.4g}" for number in (each.value, each.low, each.high)]
        table.add_row(each.name, *numbers, each.unit, each.goal, mark)
    Console().print(table)
