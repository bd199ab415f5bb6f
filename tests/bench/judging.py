"""Judging large runs by key, against a bare join of the same files and the same job in pandas.

Each is a process of its own, start included, in turns. The run: of every thousand attempts 965
are acknowledged, 10 are in doubt and have a row, 25 are in doubt and have none. DuckDB's join reads
the two files, puts rows to attempts and counts; the whole `reconcile` also checks what it reads,
proves that nothing is there twice, judges and writes a line about every attempt. Of its results
only the report is left out.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tests.bench.measurement import Measurement, median
from tests.bench.stage import Stage

SIZE, LARGE = 2_000_000, 8_000_000
PAIRS = 3
ROOT = Path(__file__).resolve().parents[2]

_JOIN = """
import duckdb, sys
duckdb.execute("SET threads = 2")
print(duckdb.execute(
    "SELECT outcome, count(*), count(o.id) FROM read_csv(?, header=true) a "
    "LEFT JOIN read_csv(?, header=true) o ON a.attempt_id = o.attempt_id GROUP BY outcome",
    sys.argv[1:]).fetchall())
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
    """Pairs of both at two million, then pandas and eight million."""
    with tempfile.TemporaryDirectory() as path:
        return _measure(Path(path))


def _measure(folder: Path) -> list[Measurement]:
    run = write_run(folder / "two", SIZE)
    pairs = [(_joined(run), _judged(run)) for _ in range(PAIRS)]
    judged = [each.seconds for _, each in pairs]
    found = [
        median("bare join of 2,000,000", [each.seconds for each, _ in pairs], "s"),
        median("judging 2,000,000 by key", judged, "s"),
        _at_most("judging to the bare join", [b.seconds / a.seconds for a, b in pairs], 2.5),
        # Of both cores together: it hardly depends on what else the machine does.
        median("CPU time of the bare join", [each.cpu_seconds for each, _ in pairs], "s"),
        median("CPU time of judging", [each.cpu_seconds for _, each in pairs], "s"),
        _at_most("memory at the peak", [each.megabytes for _, each in pairs], 1000, "MB"),
    ]
    in_pandas = _pandas(run)
    found.append(
        median(
            "pandas to judging",
            [in_pandas.seconds / each for each in judged],
            "times",
            at_least=3.0,
        )
    )
    eight = write_run(folder / "eight", LARGE)
    both = [(_judged(run), _judged(eight)) for _ in range(PAIRS)]
    growth = [large.seconds / small.seconds for small, large in both]
    found.append(_at_most("judging 8,000,000 to 2,000,000", growth, 4.5))
    found.append(median("memory, 8,000,000", [large.megabytes for _, large in both], "MB"))
    return found


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


def _judged(run: Path) -> Cost:
    for name in ("summary.json", "reconciliation.csv"):  # else it begins with removing them
        (run / name).unlink(missing_ok=True)
    cost = _cost([sys.executable, "-m", "analysis", "reconcile", str(run), "--no-report"])
    assert json.loads((run / "summary.json").read_text("utf-8"))["verdict"] == "held"
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

_NAMES = (
    "attempt_id,order_key,attempt_no,user_id,process_id,product_id,quantity,due_at,sent_at,"
    "ended_at,outcome,http_status,error,order_id,served_by,trace_id,retry_of"
)
_ROW_NAMES = (
    "id,product_id,quantity,total,status,created_at,order_key,attempt_id,served_by,committed_at"
)
_SHOPPING = """
CREATE TEMP TABLE shopping AS
SELECT number, CAST(md5('attempt ' || number) AS UUID) AS attempt_id,
       CAST(md5('order ' || number) AS UUID) AS order_key,
       1 + hash(number, 1) % 10 AS product, 1 + hash(number, 2) % 3 AS quantity,
       1795435200000000 + number * 500 AS sent, 3000 + hash(number, 3) % 57000 AS took,
       hash(number, 4) % 1000 AS chance, chance < 965 AS is_told, chance < 975 AS is_made
FROM range({size}) AS numbers(number)
"""
_TIME = "strftime(make_timestamp(CAST({} AS BIGINT)), '%Y-%m-%dT%H:%M:%S.%fZ')"
_ATTEMPT = f"""
concat_ws(',', attempt_id, order_key, 1, 'u' || (number % 1000), 'host-1', product, quantity, '',
  {_TIME.format("sent")}, {_TIME.format("sent + took")},
  CASE WHEN is_told THEN concat('acknowledged,201,,', number, ',i-', number % 2)
       WHEN number % 2 = 0 THEN 'indeterminate,502,,,' ELSE 'indeterminate,,timeout,,' END,
  'Root=1-' || replace(CAST(attempt_id AS VARCHAR), '-', ''), '')
"""
_ROW = f"""
concat_ws(',', number, product, quantity, CAST(product * quantity AS VARCHAR) || '.00', 'confirmed',
  {_TIME.format("sent + took // 3")}, order_key, attempt_id, 'i-' || (number % 2),
  {_TIME.format("sent + took // 2")})
"""


def write_run(path: Path, size: int) -> Path:
    """Write the evidence of a run that held."""
    path.mkdir()
    with duckdb.connect(":memory:") as database:
        database.execute(_SHOPPING.format(size=size))
        for name, header, line, which in (
            ("attempts", _NAMES, _ATTEMPT, "true"),
            ("orders", _ROW_NAMES, _ROW, "is_made"),
        ):
            _write(database, path / f"{name}.csv", header, f"{line} AS line", which)
        sold = dict(
            database.execute(
                "SELECT product, sum(quantity) FROM shopping WHERE is_made GROUP BY product"
            ).fetchall()
        )
    lines = [f"{each},p{each},{each}.00,{size * 9},{size * 9 - sold[each]}" for each in sold]
    (path / "products.csv").write_text(
        "\r\n".join(["id,name,price,stock_before,stock_after", *lines, ""]), encoding="utf-8"
    )
    settle = {"settled": True, "waited_s": 0.1, "open_transactions": []}
    run = {"run_id": path.name, "started_at": "2026-11-23T12:00:00.000000Z", "settle": settle}
    (path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    os.sync()  # else whoever is measured next shares the machine with the disk's cache
    return path


def _write(
    database: duckdb.DuckDBPyConnection, path: Path, header: str, line: str, which: str
) -> None:
    # A column of whole lines; the carriage return is what RFC 4180 wants before each end.
    database.execute(
        f"COPY (SELECT '{header}' || chr(13) UNION ALL "
        f"SELECT line || chr(13) FROM (SELECT {line} FROM shopping WHERE {which})) "
        f"TO '{path}' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x01')"
    )
