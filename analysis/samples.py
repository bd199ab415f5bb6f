"""What is compared: a run by its ledger's tables, or anybody's Locust by its CSV statistics.

A ledger tells when each request ended, so everything has an interval. Locust's statistics tell
totals, and their history how many requests and failures there were until then: rates and shares
have an interval, percentiles have none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.bootstrap import Stretches
from analysis.errors import EvidenceError, UsageError
from analysis.faults import describe_faults, judge_faults
from analysis.headline import NO_FAULT
from analysis.judgement import judge_run
from analysis.records import parse_time
from analysis.run import parse_run
from analysis.run_directory import RunDirectory, read_rows
from analysis.tables import EVENTS
from analysis.timeline import GATHER_REQUESTS, gather_values

if TYPE_CHECKING:
    from analysis.relations import Relations

__all__ = ["ALL", "VERDICTS", "WINDOWS", "Sample", "Side", "load_side"]

ALL = "all requests"
_MOST_STRETCHES = 60
_FEWEST_STRETCHES = 8
VERDICTS = (
    *("confirmed", "lost", "altered", "clean", "contradicted"),
    *("committed", "absent", "possible", "duplicate", "unexpected"),
)
WINDOWS = ("client", "load_balancer", "autoscaling")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One endpoint of a side: what was measured, and, if they are known, its stretches."""

    count: int
    failed: int
    per_second: float
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    max_s: float | None
    stretches: Stretches | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Something to compare. `phases` names its stretches by phase, each `width_s` long.

    Verdicts are counts, windows seconds; None where they are not known.
    """

    name: str
    source: str
    samples: Mapping[str, Sample]
    verdict: str
    verdicts: Mapping[str, int | None]
    windows: Mapping[str, float | None]
    phases: Mapping[int, Sequence[int]]
    width_s: float
    notes: Sequence[str] = ()


def load_side(path: Path) -> Side:
    """Load a run directory, or the files PREFIX_stats.csv and PREFIX_stats_history.csv.

    A run that was not judged yet is judged. EvidenceError, or UsageError if it is neither.
    """
    if path.is_dir():
        directory = RunDirectory(path)
        if directory.has("run.json"):
            return _of_run(directory)
        message = f"{path}: no run.json is in it; name a run directory, or a prefix of Locust's"
        raise UsageError(message)
    if path.with_name(f"{path.name}_stats.csv").is_file():
        return _of_locust(path, name=path.name)
    message = (
        f"{path}: neither a run directory nor a prefix of Locust's CSV files "
        f"({path.name}_stats.csv); runs are the folders under runs/"
    )
    raise UsageError(message)


def _of_run(directory: RunDirectory) -> Side:
    if not directory.has("attempts.csv") and not directory.has("attempts.parquet"):
        message = f"{directory.path} is not closed; `python -m analysis finish` does that"
        raise EvidenceError(message)
    summary = directory.read_summary()
    if summary is None:
        judge_run(directory)
        summary = directory.read_summary() or {}
    side = _of_tables(directory, summary)
    return replace(side, notes=(*side.notes, *_on_faults(directory)))


def _of_tables(directory: RunDirectory, summary: Mapping[str, Any]) -> Side:
    with directory.relations() as relations:
        if "requests" in relations.names:
            return _of_ledger(directory, summary, relations)
    return _judged(_of_locust(directory.path / "locust", name=directory.run_id), summary)


def _on_faults(directory: RunDirectory) -> list[str]:
    """Say of a run that it is one without its fault; nothing if it is not."""
    try:
        events = list(directory.read_table(EVENTS)) if directory.has_table(EVENTS) else []
    except EvidenceError:
        events = []
    found = judge_faults(parse_run(directory.read_run()), events)
    said = describe_faults([each.as_json() for each in found]) if found else NO_FAULT
    return [f"{directory.run_id}: {said}"] if said else []


# --- from the ledger's tables ---

_BIN = "CAST(exp(round(ln(greatest(took, 1)) * 100) / 100) AS BIGINT)"  # within half a percent
_SUMS = """SELECT {0}, count(*), count(*) FILTER (kind <> 'answered'),
    quantile_disc(took, [0.5, 0.95, 0.99, 1.0]) FROM asked GROUP BY 1 ORDER BY 1"""
_STRETCH = "least(greatest((moment - $origin) // $width, 0), $last)"
_BY_STRETCH = f"""SELECT {{0}}, {_STRETCH}, count(*), count(*) FILTER (kind <> 'answered')
    FROM asked GROUP BY 1, 2"""  # noqa: S608 -- of literals
_CELLS = f"""SELECT {{0}}, {_BIN}, {_STRETCH}, count(*)
    FROM asked WHERE took IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""  # noqa: S608


def _of_ledger(directory: RunDirectory, summary: Mapping[str, Any], relations: "Relations") -> Side:
    run = parse_run(directory.read_run())
    relations.run(GATHER_REQUESTS, **gather_values())
    first, last = relations.select("SELECT min(moment), max(moment) FROM asked")[0]
    if first is None:
        return _judged(_empty(directory.run_id), summary)
    origin = first if run.started_at is None else min(run.started_at, first)
    lasted_s = max((last - origin) / 1e6, 1)
    width_s = max(1, -(-lasted_s // _MOST_STRETCHES))
    size = int(lasted_s // width_s) + 1
    where = {"origin": origin, "width": int(width_s * 1e6), "last": size - 1}
    samples: dict[str, Sample] = {}
    for grouped in (f"'{ALL}'", "request"):
        samples |= _samples(relations, grouped, where, size, lasted_s)
    fault_at = run.fault.started_at if run.fault else None
    borders = [at for at in (fault_at, _felt_until(summary)) if at is not None]
    side = Side(
        name=directory.run_id,
        source="ledger",
        samples=samples,
        verdict="",
        verdicts={},
        windows={},
        phases=_phases(size, [(at - origin) / 1e6 / width_s for at in borders]),
        width_s=width_s,
    )
    return _judged(side, summary)


def _felt_until(summary: Mapping[str, Any]) -> int | None:
    window = (summary.get("windows") or {}).get("client")
    return parse_time(window["to"]) if window else None


def _phases(size: int, borders: Sequence[float]) -> dict[int, list[int]]:
    """Name the stretches of each phase: before, during and after what the borders enclose."""
    if size < _FEWEST_STRETCHES:
        return {}
    phases: dict[int, list[int]] = {}
    for number in range(size):
        phase = sum(number + 1 > border for border in borders)
        phases.setdefault(phase, []).append(number)
    return phases


def _samples(
    relations: "Relations", grouped: str, where: Mapping[str, int], size: int, lasted_s: float
) -> dict[str, Sample]:
    counts: dict[str, list[int]] = {}
    failures: dict[str, list[int]] = {}
    for name, stretch, count, failed in relations.select(_BY_STRETCH.format(grouped), **where):
        counts.setdefault(name, [0] * size)[stretch] = count
        failures.setdefault(name, [0] * size)[stretch] = failed
    cells: dict[str, list[tuple[int, int, int]]] = {}
    for name, took, stretch, count in relations.select(_CELLS.format(grouped), **where):
        cells.setdefault(name, []).append((took, stretch, count))
    samples = {}
    for name, count, failed, times in relations.select(_SUMS.format(grouped)):
        p50_s, p95_s, p99_s, max_s = [None] * 4 if times is None else [time / 1e6 for time in times]
        samples[name] = Sample(
            count=count,
            failed=failed,
            per_second=count / lasted_s,
            p50_s=p50_s,
            p95_s=p95_s,
            p99_s=p99_s,
            max_s=max_s,
            stretches=_stretched(cells.get(name, []), counts[name], failures[name]),
        )
    return samples


def _stretched(
    cells: Iterable[tuple[int, int, int]], counts: Sequence[int], failures: Sequence[int]
) -> Stretches:
    """Return stretches of (time, stretch, how many) that come with the shortest time first."""
    times: list[int] = []
    reached: list[list[int]] = []
    for took, stretch, count in cells:
        if not times or times[-1] != took:
            times.append(took)
            reached.append(list(reached[-1]) if reached else [0] * len(counts))
        reached[-1][stretch] += count
    return Stretches(times=times, reached=reached, counts=counts, failures=failures)


# --- from Locust's files ---


def _of_locust(prefix: Path, *, name: str) -> Side:
    path = prefix.with_name(f"{prefix.name}_stats.csv")
    rows = read_rows(path)
    history_path = prefix.with_name(f"{prefix.name}_stats_history.csv")
    history = read_rows(history_path) if history_path.is_file() else []
    try:
        times, series = _history(history)
        samples = {_named(row): _sample(row, series.get(_named(row)), len(times)) for row in rows}
    except (KeyError, ValueError) as error:
        message = f"{path} is no statistics of Locust's: {type(error).__name__}: {error}"
        raise EvidenceError(message) from error
    note = f"{name}: of Locust's statistics, percentiles have no interval"
    if not history:
        note = f"{name}: without {history_path.name} nothing has an interval"
    size = max(0, len(times) - 1)
    return Side(
        name=name,
        source="locust",
        samples=samples,
        verdict="",
        verdicts={},
        windows={},
        phases=_phases(size, []),
        width_s=(times[-1] - times[0]) / size if size else 1.0,
        notes=(note,),
    )


def _named(row: Mapping[str, str]) -> str:
    return ALL if row["Name"] == "Aggregated" else f"{row['Type']} {row['Name']}".strip()


def _history(
    rows: Iterable[Mapping[str, str]],
) -> tuple[list[int], dict[str, dict[int, tuple[int, int]]]]:
    """Return the times of a history, and of each name what it had counted by then."""
    series: dict[str, dict[int, tuple[int, int]]] = {}
    for row in rows:
        total = (int(row["Total Request Count"]), int(row["Total Failure Count"]))
        series.setdefault(_named(row), {})[int(row["Timestamp"])] = total
    return sorted({at for counted in series.values() for at in counted}), series


def _sample(
    row: Mapping[str, str], counted: Mapping[int, tuple[int, int]] | None, moments: int
) -> Sample:
    count = int(row["Request Count"])
    return Sample(
        count=count,
        failed=int(row["Failure Count"]),
        per_second=float(row["Requests/s"]),
        p50_s=_ms(row["50%"]),
        p95_s=_ms(row["95%"]),
        p99_s=_ms(row["99%"]),
        max_s=_ms(row["Max Response Time"]),
        stretches=_stretches(counted, moments) if counted else None,
    )


def _stretches(counted: Mapping[int, tuple[int, int]], moments: int) -> Stretches:
    """Return what was counted between two moments; before its first request nothing was."""
    totals = [counted[at] for at in sorted(counted)]
    totals = [(0, 0)] * (moments - len(totals)) + totals
    return Stretches(
        counts=[max(0, after[0] - before[0]) for before, after in pairwise(totals)],
        failures=[max(0, after[1] - before[1]) for before, after in pairwise(totals)],
    )


def _ms(text: str) -> float | None:
    return None if text in {"", "N/A"} else float(text) / 1000


def _empty(name: str) -> Side:
    return Side(
        name=name,
        source="ledger",
        samples={},
        verdict="",
        verdicts={},
        windows={},
        phases={},
        width_s=1.0,
        notes=(f"{name}: no request ended",),
    )


def _judged(side: Side, summary: Mapping[str, Any]) -> Side:
    windows = summary.get("windows") or {}
    lasted = {name: windows.get(name) for name in WINDOWS}
    orders = summary.get("orders") or {}
    return Side(
        name=side.name,
        source=side.source,
        samples=side.samples,
        verdict=str(summary.get("verdict") or ""),
        verdicts={name: orders.get(name) for name in VERDICTS},
        windows={name: each["seconds"] if each else None for name, each in lasted.items()},
        phases=side.phases,
        width_s=side.width_s,
        notes=side.notes,
    )
