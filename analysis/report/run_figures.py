"""A run over time, and by endpoint and server: sums of its tables, never their rows.

Everything is counted from `origin`, when the run began, in buckets of equal width of which there
are at most 240, however long the run was. Every attempt is in exactly one bucket, so the sums are
those of summary.json.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.evidence.answers import NONCOMMITTAL
from analysis.evidence.ledger.failures import RUN_STOPPING
from analysis.evidence.ledger.reader import IN_FLIGHT, ORDER_METHOD, ORDER_NAME
from analysis.evidence.run import Run

if TYPE_CHECKING:
    from analysis.evidence.sql.relations import Relations

_MOST_BUCKETS = 240
_WIDTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_MOST_KINDS = 7
_MOST_ENDPOINTS = 30
_MOST_SERVERS = 50
OTHER = "other"
ANSWERED = "answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many of a kind there were in a bucket; it begins `at_s` after the origin."""

    at_s: float
    kind: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """How long the orders of a bucket took in seconds, `since` they were due or sent."""

    at_s: float
    since: str
    count: int
    p50_s: float
    p95_s: float
    max_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How many requests there were, how many of them failed, and how long they took in seconds."""

    count: int
    failed: int
    per_second: float
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    max_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Figures):
    """All requests of a name."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a server did; the name is empty for requests that no reply named a server of.

    `rows` are those in the orders table that name it, None where the table was not read.
    """

    name: str
    count: int
    failed: int
    orders: int
    rows: int | None
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many attempts have an outcome, a cause (empty unless in doubt) and a verdict."""

    outcome: str
    cause: str
    verdict: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A run in buckets of `width_s` seconds. None for what no file tells.

    `orders` are attempts by what their client was told, `committed` those in doubt that are in
    the table, `requests` all that ended by how (`answered`, or why not). `orders_in_doubt` counts
    orders with an attempt in doubt and none that was acknowledged.
    """

    origin: int
    ends_s: float
    width_s: float
    orders: Sequence[Count]
    committed: Sequence[Count]
    latencies: Sequence[Latencies]
    tallies: Sequence[Tally]
    orders_in_doubt: int
    requests: Sequence[Count] | None
    endpoints: Sequence[Endpoint] | None
    servers: Sequence[Server] | None


def load_timeline(relations: "Relations", run: Run) -> Timeline:
    """Sum a judged run's tables up; EvidenceError if one of them cannot be read."""
    has_requests = "requests" in relations.names
    relations.select(_ATTEMPTS, ended_at=run.ended_at, started_at=run.started_at)
    if has_requests:
        relations.select(GATHER_REQUESTS)
    begins_at, ends_at = _span(relations, run)
    ends_s = max(ends_at - begins_at, 1_000_000) / 1e6
    width_s = _width(ends_s)
    last = max(0, math.ceil(ends_s / width_s) - 1)
    where = {"origin": begins_at, "width": int(width_s * 1e6), "last": last}
    return Timeline(
        origin=begins_at,
        ends_s=ends_s,
        width_s=width_s,
        orders=_counts(relations.select(_ORDERS, **where), width_s),
        committed=_counts(relations.select(_COMMITTED, **where), width_s),
        latencies=_latencies(relations, where, width_s),
        tallies=_tallies(relations),
        orders_in_doubt=relations.select(_IN_DOUBT)[0][0],
        requests=_counts(relations.select(_REQUESTS, **where), width_s) if has_requests else None,
        endpoints=_endpoints(relations, ends_s) if has_requests else None,
        servers=_servers(relations) if has_requests else None,
    )


# --- what is read, once ---

# As `answers` has it.
_CAUSE = """CASE WHEN http_status >= 500 THEN CAST(http_status AS VARCHAR)
    WHEN error <> '' THEN error WHEN http_status = 202 THEN 'accepted'
    ELSE coalesce(CAST(http_status AS VARCHAR), 'unknown') END"""
_OUTCOME = f"""CASE WHEN outcome = 'acknowledged'
    AND http_status IN ({", ".join(map(str, sorted(NONCOMMITTAL)))})
    THEN 'indeterminate' ELSE outcome END"""
_ATTEMPTS = f"""CREATE TEMP TABLE tries AS SELECT attempt_id, outcome, due_at, sent_at,
    CASE WHEN outcome = 'indeterminate' THEN {_CAUSE} ELSE '' END AS cause,
    coalesce(ended_at, $ended_at, sent_at, due_at, $started_at, 0) AS moment,
    order_key FROM (SELECT * REPLACE ({_OUTCOME} AS outcome) FROM attempts)"""  # noqa: S608 -- of literals
# As `failures` has it.
_ORDER = f"{ORDER_METHOD} {ORDER_NAME}"
GATHER_REQUESTS = f"""CREATE TEMP TABLE asked AS SELECT
    method || ' ' || name AS request, ended_at AS moment, served_by,
    greatest(0, ended_at - coalesce(due_at, sent_at)) AS took,
    CASE WHEN error = '' AND (http_status BETWEEN 200 AND 399
            OR http_status = 409 AND method = '{ORDER_METHOD}' AND name = '{ORDER_NAME}')
        THEN '{ANSWERED}' ELSE {_CAUSE} END AS kind
    FROM requests WHERE ended_at IS NOT NULL AND error NOT IN ('{IN_FLIGHT}', '{RUN_STOPPING}')"""  # noqa: S608


def _span(relations: "Relations", run: Run) -> tuple[int, int]:
    """When the run began and ended, and where run.json does not say, what its tables say."""
    seen = "SELECT min(coalesce(due_at, sent_at, moment)), max(moment) FROM tries"
    first, last = relations.select(seen)[0]
    begins_at = next((at for at in (run.started_at, first) if at is not None), 0)
    ends_at = next((at for at in (run.ended_at, last) if at is not None), begins_at)
    return begins_at, max(begins_at, ends_at)


def _width(ends_s: float) -> float:
    wanted_s = ends_s / _MOST_BUCKETS
    return next((width for width in _WIDTHS_S if width >= wanted_s), math.ceil(wanted_s))


# --- sums ---

# What lies outside of the run, by a clock that was set, counts in its first or last bucket.
_BUCKET = "least(greatest(({} - $origin) // $width, 0), $last)"
_ORDERS = f"""SELECT {_BUCKET.format("moment")}, if(cause = '', outcome, cause), count(*)
    FROM tries GROUP BY ALL ORDER BY ALL"""  # noqa: S608
_COMMITTED = f"""SELECT {_BUCKET.format("moment")}, 'committed', count(*)
    FROM tries SEMI JOIN (SELECT attempt_id FROM reconciliation
        WHERE kind = 'attempt' AND verdict = 'committed') USING (attempt_id)
    GROUP BY ALL ORDER BY ALL"""  # noqa: S608
_REQUESTS = f"""SELECT {_BUCKET.format("moment")}, kind, count(*)
    FROM asked GROUP BY ALL ORDER BY ALL"""  # noqa: S608
_LATENCIES = f"""SELECT {_BUCKET.format("{0}")}, count(*),
    unnest([quantile_disc(greatest(0, moment - {{0}}), [0.5, 0.95, 1.0])])
    FROM tries WHERE {{0}} IS NOT NULL GROUP BY 1 ORDER BY 1"""  # noqa: S608
_IN_DOUBT = """SELECT count(*) FROM (SELECT order_key FROM tries GROUP BY order_key
    HAVING bool_or(outcome = 'indeterminate') AND NOT bool_or(outcome = 'acknowledged'))"""
_QUANTILES = "quantile_disc(took, [0.5, 0.95, 0.99, 1.0])"
_ENDPOINTS = f"""SELECT request, count(*), count(*) FILTER (kind <> '{ANSWERED}'), {_QUANTILES}
    FROM asked GROUP BY request ORDER BY count(*) DESC, request LIMIT {_MOST_ENDPOINTS}"""  # noqa: S608
_SERVERS = f"""SELECT served_by, count(*), count(*) FILTER (kind <> '{ANSWERED}'),
    count(*) FILTER (request = '{_ORDER}' AND kind = '{ANSWERED}'), {_QUANTILES}
    FROM asked GROUP BY served_by
    ORDER BY served_by = '', count(*) DESC, served_by LIMIT {_MOST_SERVERS}"""  # noqa: S608


def _counts(rows: Iterable[tuple[int, str, int]], width_s: float) -> list[Count]:
    """Name the kinds that there are most of, and gather the others under one name."""
    found = list(rows)
    totals: Counter[str] = Counter()
    for _, kind, count in found:
        totals[kind] += count
    named = sorted(totals, key=lambda kind: (-totals[kind], kind))
    if len(named) > _MOST_KINDS + 1:
        named = named[:_MOST_KINDS]
    summed: Counter[tuple[int, str]] = Counter()
    for bucket, kind, count in found:
        summed[bucket, kind if kind in named else OTHER] += count
    return [
        Count(at_s=bucket * width_s, kind=kind, count=count)
        for (bucket, kind), count in sorted(summed.items())
    ]


def _latencies(relations: "Relations", where: dict[str, int], width_s: float) -> list[Latencies]:
    found = []
    for since, column in (("due", "due_at"), ("sent", "sent_at")):
        for bucket, count, times in relations.select(_LATENCIES.format(column), **where):
            names = ("p50_s", "p95_s", "max_s")
            took = dict(zip(names, (time / 1e6 for time in times), strict=True))
            at_s = bucket * width_s
            found.append(Latencies(at_s=at_s, since=since, count=count, **took))
    return found


def _tallies(relations: "Relations") -> list[Tally]:
    cause = f"CASE WHEN outcome = 'indeterminate' THEN {_CAUSE} ELSE '' END"
    query = f"""SELECT outcome, {cause}, verdict, count(*) FROM reconciliation
        WHERE kind = 'attempt' GROUP BY ALL ORDER BY ALL"""  # noqa: S608 -- of literals
    return [
        Tally(outcome=outcome, cause=cause, verdict=verdict, count=count)
        for outcome, cause, verdict, count in relations.select(query)
    ]


def _endpoints(relations: "Relations", lasted_s: float) -> list[Endpoint]:
    found = []
    for name, count, failed, times in relations.select(_ENDPOINTS):
        per_second = count / lasted_s
        took = quantiles_s(times)
        found.append(Endpoint(name=name, count=count, failed=failed, per_second=per_second, **took))
    return found


def _servers(relations: "Relations") -> list[Server]:
    made: dict[str, int] | None = None
    if "orders" in relations.names:
        made = dict(relations.select("SELECT served_by, count(*) FROM orders GROUP BY served_by"))
    found = []
    seen = relations.select(_SERVERS)
    for name, count, failed, orders, times in seen:
        took = quantiles_s(times)
        found.append(
            Server(
                name=name,
                count=count,
                failed=failed,
                orders=orders,
                rows=None if made is None else made.get(name, 0),
                p50_s=took["p50_s"],
                p95_s=took["p95_s"],
            )
        )
    return found


def quantiles_s(times: Sequence[int] | None) -> dict[str, float | None]:
    """Name quantiles, in seconds; a request without a time of its sending has none."""
    names = ("p50_s", "p95_s", "p99_s", "max_s")
    return (
        dict.fromkeys(names)
        if times is None
        else dict(zip(names, (each / 1e6 for each in times), strict=True))
    )
