"""Judging large runs by key, against a bare join of the same files and the same job in pandas.

Each is a process of its own, start included, in turns. The run: of every thousand attempts 965
are acknowledged, 10 are in doubt and have a row, 25 are in doubt and have none; in a variant one in
ten is refused, or disputed since it was tried again. DuckDB's join reads the two CSV files, puts
rows to attempts and counts; the whole `reconcile` also checks what it reads, proves that nothing is
there twice, judges and writes a line about every attempt. Of its results only the report is left
out. What is compared is CPU time, which hardly depends on what else the machine does.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from analysis.evidence.sql.parquet import as_text
from tests.bench.measurement import Measurement, median
from tests.bench.stage import Stage

MILLION = 1_000_000
PAIRS = 3
MEMORY = "1GB"
ROOT = Path(__file__).resolve().parents[2]

_JOIN = """
import duckdb, sys
duckdb.execute("SET threads = 2")
print(duckdb.execute(
    "SELECT outcome, count(*), count(o.id) FROM read_csv(?, header=true) a "
    "LEFT JOIN read_csv(?, header=true) o ON a.attempt_id = o.attempt_id GROUP BY outcome",
    sys.argv[1:]).fetchall())
"""

_STORE = """
import sys
from analysis.closing.close import add_parquet
from analysis.evidence.run_directory import RunDirectory
add_parquet(RunDirectory(sys.argv[1]))
"""

_PANDAS = """
import pandas, sys
attempts, orders, products, result = sys.argv[1:]
text = {"order_key": str, "attempt_id": str}
a = pandas.read_csv(attempts, dtype=text, parse_dates=["sent_at", "ended_at"])
o = pandas.read_csv(orders, dtype=text, parse_dates=["created_at"])
p = pandas.read_csv(products).set_index("id")
assert a.attempt_id.is_unique and o.attempt_id.is_unique and o.id.is_unique
m = a.merge(o, on="attempt_id", how="left", suffixes=("", "_row"), indicator=True)
there = m["_merge"] == "both"
same = there & (m.product_id == m.product_id_row) & (m.quantity == m.quantity_row)
same &= (m.total - m.product_id_row.map(p.price) * m.quantity_row).abs() < 0.005
m["verdict"] = "absent"
told = m.outcome == "acknowledged"
m.loc[told, "verdict"] = "lost"
m.loc[told & there, "verdict"] = "altered"
m.loc[told & same & (m.order_id == m.id), "verdict"] = "confirmed"
m.loc[~told & there, "verdict"] = "committed"
print(m.groupby(["outcome", "verdict"]).size(), o.groupby("product_id").quantity.sum())
print((m.ended_at - m.sent_at).quantile([0.5, 0.95, 0.99]))
m.sort_values(["sent_at", "attempt_id"])[
    ["attempt_id", "order_key", "order_id", "product_id", "quantity", "outcome", "http_status",
     "error", "verdict", "committed_at"]].to_csv(result, index=False)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: seconds of wall time and of CPU time, megabytes at its peak."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def measure(_stage: Stage) -> list[Measurement]:
    """Pairs of all ways at two million, then what grows up to twenty million."""
    with tempfile.TemporaryDirectory() as path:
        return _measure(Path(path))


def _measure(folder: Path) -> list[Measurement]:
    of_csv = write_run(folder / "csv", 2 * MILLION)
    closed = write_run(folder / "closed", 2 * MILLION)
    stored = _cost([sys.executable, "-c", _STORE, str(closed)])
    turns = [(_joined(of_csv), _judged(closed), _judged(of_csv)) for _ in range(PAIRS)]
    by_pandas = _pandas(of_csv)
    disputed = _judged(write_run(folder / "disputed", 2 * MILLION, is_odd=True))
    bounded = {2: _judged(closed, memory=MEMORY)}
    eight = turns[0][1]
    for millions in (8, 20):
        run = write_run(folder / f"of {millions}", millions * MILLION, as_parquet=True)
        if millions == 8:
            eight = _judged(run)
        bounded[millions] = _judged(run, memory=MEMORY)
        shutil.rmtree(run)
    return [
        median("bare join of 2,000,000: CPU", [join.cpu_seconds for join, _, _ in turns], "s"),
        median("judging them, closed", [each.cpu_seconds for _, each, _ in turns], "s"),
        _at_most("to the join", [b.cpu_seconds / a.cpu_seconds for a, b, _ in turns], 4.5),
        _at_most("from CSV", [c.cpu_seconds / a.cpu_seconds for a, _, c in turns], 9),
        median("storing them as Parquet", [stored.cpu_seconds], "s"),
        median("one in ten disputed or refused", [disputed.cpu_seconds], "s"),
        median(
            "pandas to judging from CSV",
            [by_pandas.seconds / each.seconds for _, _, each in turns],
            "times",
            at_least=2.5,
        ),
        _at_most(
            "8,000,000 to 2,000,000", [eight.cpu_seconds / b.cpu_seconds for _, b, _ in turns], 5
        ),
        *(
            _at_most(f"memory of {millions},000,000 in {MEMORY}", [cost.megabytes], 1400, "MB")
            for millions, cost in bounded.items()
        ),
        *(
            median(f"CPU of {millions},000,000 in {MEMORY}", [cost.cpu_seconds], "s")
            for millions, cost in bounded.items()
        ),
    ]


def _at_most(name: str, values: Sequence[float], most: float, unit: str = "times") -> Measurement:
    value = statistics.median(values)
    return Measurement(
        name=name,
        value=round(value, 3),
        low=round(min(values), 3),
        high=round(max(values), 3),
        unit=unit,
        goal=f"<= {most:g}",
        holds=value <= most,
    )


def _joined(run: Path) -> Cost:
    return _cost([sys.executable, "-c", _JOIN, *_files(run, "attempts", "orders")])


def _judged(run: Path, *, memory: str = "") -> Cost:
    for name in ("summary.json", "reconciliation.csv"):  # else it begins with removing them
        (run / name).unlink(missing_ok=True)
    bounds = ("--memory", memory) if memory else ()
    reconcile = ("reconcile", str(run), "--no-report", *bounds)
    cost = _cost([sys.executable, "-m", "analysis", *reconcile])
    assert json.loads((run / "summary.json").read_text("utf-8"))["verdict"] == "held"
    assert not [*run.glob(".judging*")]
    return cost


def _pandas(run: Path) -> Cost:
    files = _files(run, "attempts", "orders", "products", "pandas")
    return _cost([sys.executable, "-c", _PANDAS, *files])


def _files(run: Path, *names: str) -> list[str]:
    return [str(run / f"{name}.csv") for name in names]


def _cost(command: list[str]) -> Cost:
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - began
    assert process.returncode == 0, command
    return Cost(took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


# --- a run ---

_SHOPPING = """
CREATE VIEW shopping AS
SELECT number,
  -- An order is tried once more, with its key: nothing is made.
  {is_odd} AND number % 40 = 9 AND hash(number - 1, 4) % 1000 < 975 AS is_again,
  {is_odd} AND number % 20 = 19 AS is_refused,
  CASE WHEN is_again THEN number - 1 ELSE number END AS wanted,
  CAST(CAST(md5('attempt ' || number) AS UUID) AS VARCHAR) AS attempt_id,
  CAST(CAST(md5('attempt ' || wanted) AS UUID) AS VARCHAR) AS first_id,
  CAST(CAST(md5('order ' || wanted) AS UUID) AS VARCHAR) AS order_key,
  CAST(1 + hash(wanted, 1) % 10 AS BIGINT) AS product_id,
  CAST(1 + hash(wanted, 2) % 3 AS BIGINT) AS quantity,
  1795435200000000 + number * 500 AS sent,
  CAST(3000 + hash(number, 3) % 57000 AS BIGINT) AS took,
  hash(number, 4) % 1000 AS chance, chance < 965 AS is_told, chance < 975 AS is_made
FROM range({size}) AS numbers(number);

CREATE VIEW attempts AS
SELECT attempt_id, order_key,
  CAST(CASE WHEN is_again THEN 2 ELSE 1 END AS BIGINT) AS attempt_no,
  'u' || (number % 1000) AS user_id, 'host-1' AS process_id, product_id, quantity,
  CAST(NULL AS TIMESTAMPTZ) AS due_at, {sent} AS sent_at, {ended} AS ended_at,
  CASE WHEN is_refused THEN 'rejected' WHEN is_told OR is_again THEN 'acknowledged'
    ELSE 'indeterminate' END AS outcome,
  CAST(CASE WHEN is_refused THEN 409 WHEN is_told OR is_again THEN 201
    WHEN number % 2 = 0 THEN 502 END AS BIGINT) AS http_status,
  CASE WHEN is_refused OR is_told OR is_again OR number % 2 = 0 THEN '' ELSE 'timeout' END AS error,
  CASE WHEN NOT is_refused AND (is_told OR is_again) THEN wanted END AS order_id,
  'i-' || (number % 2) AS served_by, 'Root=1-' || replace(attempt_id, '-', '') AS trace_id,
  CASE WHEN is_again THEN first_id ELSE '' END AS retry_of
FROM shopping;

CREATE VIEW orders AS
SELECT number AS id, product_id, quantity, CAST(product_id * quantity AS DECIMAL(38, 2)) AS total,
  'confirmed' AS status, {created} AS created_at, order_key, attempt_id,
  'i-' || (number % 2) AS served_by, {committed} AS committed_at
FROM shopping WHERE is_made AND NOT is_refused AND NOT is_again;
"""


def write_run(path: Path, size: int, *, is_odd: bool = False, as_parquet: bool = False) -> Path:
    """Write the evidence of a run that held, of which a part is to be looked at if it `is_odd`."""
    path.mkdir()
    with duckdb.connect(":memory:") as database:
        database.execute("SET TimeZone = 'UTC'")
        times = {"sent": "sent", "ended": "sent + took"}
        times |= {"created": "sent + took // 3", "committed": "sent + took // 2"}
        at = {name: f"make_timestamptz({each})" for name, each in times.items()}
        database.execute(_SHOPPING.format(size=size, is_odd=str(is_odd).lower(), **at))
        for name in ("attempts", "orders"):
            if as_parquet:
                database.execute(f"COPY {name} TO '{path / name}.parquet' (COMPRESSION zstd)")
            else:
                _write_csv(database, name, path / f"{name}.csv")
        query = "SELECT product_id, sum(quantity) FROM orders GROUP BY product_id"
        sold = dict(database.execute(query).fetchall())
    lines = [f"{each},p{each},{each}.00,{size * 9},{size * 9 - sold[each]}" for each in sold]
    (path / "products.csv").write_text(
        "\r\n".join(["id,name,price,stock_before,stock_after", *lines, ""]), encoding="utf-8"
    )
    settle = {"settled": True, "waited_s": 0.1, "open_transactions": []}
    run = {"run_id": path.name, "started_at": "2026-11-23T12:00:00.000000Z", "settle": settle}
    (path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    os.sync()  # else whoever is measured next shares the machine with the disk's cache
    return path


def _write_csv(database: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    columns = database.execute(f"DESCRIBE {name}").fetchall()
    cells = ", ".join(as_text(kind, column) for column, kind, *_ in columns)
    # One column of whole lines: the carriage return is what RFC 4180 wants before each end.
    header = ",".join(column for column, *_ in columns) + "\r"
    database.execute(
        f"COPY (SELECT concat_ws(',', {cells}) || chr(13) AS \"{header}\" FROM {name}) "
        f"TO '{path}' (FORMAT csv, HEADER true, QUOTE '', ESCAPE '')"
    )
