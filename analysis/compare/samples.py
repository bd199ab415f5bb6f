"""What is compared: a run by its ledger's tables, or anybody's Locust by its CSV statistics.

A ledger tells when each request ended, so everything has an interval. Locust's statistics tell
totals, and their history how many requests and failures there were until then: rates and shares
have an interval, percentiles have none.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.compare.bootstrap import Stretches
from analysis.compare.differences import settings_of
from analysis.compare.locust_history import (
    ALL,
    Moment,
    count_by_stretch,
    last_rise,
    moments_of,
    name_of,
    stretches_of,
)
from analysis.evidence.errors import EvidenceError, UsageError
from analysis.evidence.files.text import read_rows
from analysis.evidence.records import Verdict, parse_time
from analysis.evidence.run import parse_run
from analysis.evidence.run_directory import RunDirectory
from analysis.measures.faults import describe_faults, judge_faults
from analysis.measures.windows import Windows
from analysis.report.run_figures import GATHER_REQUESTS, Figures, quantiles_s
from analysis.verdict.headline import NO_FAULT
from analysis.verdict.judge_run import events_of, judge_run

if TYPE_CHECKING:
    from analysis.evidence.sql.relations import Relations

_MOST_STRETCHES = 60
_TOO_MUCH = 1e15  # of anything that is counted or timed
_FEWEST_STRETCHES = 8
VERDICTS = tuple(each.value for each in Verdict)
WINDOWS = tuple(each.name for each in fields(Windows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Figures):
    """One endpoint of a side: what was measured, and, if they are known, its stretches."""

    stretches: Stretches | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Something to compare. `phases` names its stretches by phase; they are `lengths_s` long.

    Verdicts are counts, windows seconds; None where they are not known. `settings` are what is
    known of how it was run, and `doubt` says why its rates prove nothing, if they do not.
    """

    name: str
    source: str
    samples: Mapping[str, Sample] = field(default_factory=dict)
    verdict: str = ""
    verdicts: Mapping[str, int | None] = field(default_factory=dict)
    windows: Mapping[str, float | None] = field(default_factory=dict)
    phases: Mapping[int, Sequence[int]] = field(default_factory=dict)
    lengths_s: Sequence[float] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    doubt: str = ""
    notes: Sequence[str] = ()


def load_side(path: Path) -> Side:
    """Load a run directory, or the files PREFIX_stats.csv and PREFIX_stats_history.csv.

    A run that was not judged yet is judged. EvidenceError, or UsageError if it is neither.
    """
    if path.is_dir():
        directory = RunDirectory(path)
        if directory.has("run.json"):
            return _of_run(directory)
        raise UsageError(
            f"{path}: no run.json is in it; name a run directory, or a prefix of Locust's"
        )
    if path.with_name(f"{path.name}_stats.csv").is_file():
        return _of_locust(path, name=path.name)
    raise UsageError(
        f"{path}: neither a run directory nor a prefix of Locust's CSV files "
        f"({path.name}_stats.csv); runs are the folders under runs/"
    )


def _of_run(directory: RunDirectory) -> Side:
    if not directory.has("attempts.csv") and not directory.has("attempts.parquet"):
        raise EvidenceError(
            f"{directory.path} is not closed; `python -m analysis finish` does that"
        )
    summary = directory.read_summary()
    if summary is None:
        judge_run(directory)
        summary = directory.read_summary() or {}
    run = directory.read_run()
    side = _of_tables(directory, run, summary)
    lasted = {name: (summary.get("windows") or {}).get(name) for name in WINDOWS}
    orders = summary.get("orders") or {}
    return replace(
        side,
        verdict=str(summary.get("verdict") or ""),
        verdicts={name: orders.get(name) for name in VERDICTS},
        windows={name: each["seconds"] if each else None for name, each in lasted.items()},
        settings=settings_of(run),
        notes=(*side.notes, *_on_faults(directory)),
    )


def _of_tables(directory: RunDirectory, run: Mapping[str, Any], summary: Mapping[str, Any]) -> Side:
    with directory.relations() as relations:
        if "requests" in relations.names:
            return _of_ledger(directory.run_id, run, summary, relations)
    return _of_locust(directory.path / "locust", name=directory.run_id)


def _on_faults(directory: RunDirectory) -> list[str]:
    """Say of a run that it is one without its fault; nothing if it is not."""
    found = judge_faults(parse_run(directory.read_run()), events_of(directory))
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


def _of_ledger(
    name: str, content: Mapping[str, Any], summary: Mapping[str, Any], relations: "Relations"
) -> Side:
    run = parse_run(content)
    relations.select(GATHER_REQUESTS)
    first, last = relations.select("SELECT min(moment), max(moment) FROM asked")[0]
    if first is None:
        return Side(name=name, source="ledger", notes=(f"{name}: no request ended",))
    origin = first if run.started_at is None else min(run.started_at, first)
    lasted_s = max((last - origin) / 1e6, 1)
    width_s = max(1, -(-lasted_s // _MOST_STRETCHES))
    size = ceil(lasted_s / width_s)
    where = {"origin": origin, "width": int(width_s * 1e6), "last": size - 1}
    samples: dict[str, Sample] = {}
    for grouped in (f"'{ALL}'", "request"):
        samples |= _samples(relations, grouped, where, size, lasted_s)
    fault_at = run.fault.started_at if run.fault else None
    borders = [at for at in (fault_at, _felt_until(summary)) if at is not None]
    return Side(
        name=name,
        source="ledger",
        samples=samples,
        phases=_phases(size, [(at - origin) / 1e6 / width_s for at in borders]),
        lengths_s=[*[width_s] * (size - 1), lasted_s - (size - 1) * width_s],
    )


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
    counts: dict[str, list[int]] = defaultdict(lambda: [0] * size)
    failures: dict[str, list[int]] = defaultdict(lambda: [0] * size)
    for name, stretch, count, failed in relations.select(_BY_STRETCH.format(grouped), **where):
        counts[name][stretch], failures[name][stretch] = count, failed
    cells: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for name, took, stretch, count in relations.select(_CELLS.format(grouped), **where):
        cells[name].append((took, stretch, count))
    samples = {}
    for name, count, failed, times in relations.select(_SUMS.format(grouped)):
        samples[name] = Sample(
            count=count,
            failed=failed,
            per_second=count / lasted_s,
            **quantiles_s(times),
            stretches=_stretched(cells[name], counts[name], failures[name]),
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

# Rows come once a second, reports of workers every three, and times are cut to seconds.
_SLACK_S = 5.0
_FIGURES = ("Request Count", "Failure Count", "Max Response Time", "Requests/s")
_SHOWN_CHARACTERS = 200
_PERCENTILES = ("50%", "95%", "99%")


def _of_locust(prefix: Path, *, name: str) -> Side:
    path = prefix.with_name(f"{prefix.name}_stats.csv")
    history_path = prefix.with_name(f"{prefix.name}_stats_history.csv")
    rows = list(read_rows(path))
    with _understood(path):
        unknown = _unknown_percentiles(rows)
        samples = {name_of(row): _sample(row) for row in rows}
        if ALL not in samples:
            raise ValueError(
                "the row Aggregated, its last, is missing: it was cut off, or there was no test"
            )
    rise: list[Moment] = []
    unsure = f"without {history_path.name} nothing has an interval"
    if history_path.is_file():
        unsure = "of Locust's statistics, percentiles have no interval"
        with _understood(history_path):
            rise = last_rise(moments_of(read_rows(history_path, may_be_cut=True)))
    borders, doubt = _borders(rise, samples[ALL], of=history_path.name)
    notes = [f"{name}: {said}" for said in (unsure, doubt, unknown) if said]
    return Side(
        name=name,
        source="locust",
        samples={
            each: replace(sample, stretches=count_by_stretch(each, borders))
            for each, sample in samples.items()
        },
        phases=_phases(max(0, len(borders) - 1), []),
        lengths_s=_lengths(borders, samples[ALL]),
        settings={"users": max(each.users for each in rise[1:])} if rise[1:] else {},
        doubt=doubt,
        notes=notes,
    )


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, OverflowError) as error:
        why = f"it lacks the column {error}" if isinstance(error, KeyError) else str(error)
        raise EvidenceError(
            f"{path} is no statistics of Locust's: {why[:_SHOWN_CHARACTERS]}"
        ) from error


def _unknown_percentiles(rows: Sequence[Mapping[str, str]]) -> str:
    """Say which percentiles Locust was told not to report; they are unknown, and no more."""
    unknown = [each for each in _PERCENTILES if rows and each not in rows[0]]
    if not unknown:
        return ""
    return f"its statistics have no {', '.join(unknown)} (PERCENTILES_TO_REPORT)"


def _borders(rise: Sequence[Moment], whole: Sample, *, of: str) -> tuple[list[Moment], str]:
    """Return the ends of the stretches; none, and why, where the figures are of another time."""
    borders = stretches_of(rise)
    if not borders or not whole.count or not whole.per_second:
        return [], ""
    counted_s, lasted_s = whole.count / whole.per_second, borders[-1].at - borders[0].at
    if abs(counted_s - lasted_s) > _SLACK_S:
        doubt = f"its figures are of {counted_s:.0f} s, the last rise in {of} of {lasted_s} s"
        return [], f"{doubt}, so that rates and failures are not compared with certainty"
    return borders, ""


def _lengths(borders: Sequence[Moment], whole: Sample) -> list[float]:
    """Return how long each stretch was, all together as long as its requests took by the figure.

    The history tells that only to a few seconds; the figure, from Locust's first to last request.
    """
    if not borders:
        return []
    counted = borders[-1].total - borders[0].total
    scale = counted / whole.per_second / (borders[-1].at - borders[0].at)
    return [(after.at - before.at) * scale for before, after in pairwise(borders)]


def _sample(row: Mapping[str, str]) -> Sample:
    count, failed, max_ms, per_second = (_number(row[each]) for each in _FIGURES)
    p50_s, p95_s, p99_s = (_ms(row.get(each, "")) for each in _PERCENTILES)
    if p50_s is None and count:
        p50_s = _ms(row.get("Median Response Time", ""))
    return Sample(
        count=int(count),
        failed=int(failed),
        per_second=per_second,
        p50_s=p50_s,
        p95_s=p95_s,
        p99_s=p99_s,
        max_s=max_ms / 1000 if count else None,
    )


def _ms(text: str) -> float | None:
    return None if text in {"", "N/A"} else _number(text) / 1000


def _number(text: str) -> float:
    number = float(text)
    if not 0 <= number < _TOO_MUCH:
        raise ValueError(f"{text!r} is no number to measure by")
    return number
