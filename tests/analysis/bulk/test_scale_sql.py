"""The SQL of docs/scale.md, which is to run on Athena too, counts as the judge does."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from analysis.__main__ import main

ROOT = Path(__file__).resolve().parents[3]
RECORDED = Path(__file__).parents[1] / "recorded" / "unpleasant"
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
QUERIES = dict(re.findall(r"<!-- (\w+) -->\n```sql\n(.*?)```", PAGE, re.DOTALL))

Rows = list[dict[str, str]]


def lose(rows: Rows) -> None:
    """Take away the rows of three orders."""
    del rows[10:13]


def alter(rows: Rows) -> None:
    rows[5]["quantity"] = str(int(rows[5]["quantity"]) + 1)
    rows[12]["total"] = "0.01"


def hand_on(rows: Rows) -> None:
    """Give the id of an order that was told of to one that was not, as after a crash."""
    with (RECORDED / "attempts.csv").open(newline="") as file:
        told = {each["order_id"] for each in csv.DictReader(file)}
    untold = next(each for each in rows if each["id"] not in told)
    lost = next(each for each in rows if each["id"] in told)
    rows.remove(lost)
    untold["id"] = lost["id"]


def double(rows: Rows) -> None:
    rows.append(rows[3] | {"id": "900001", "attempt_id": ""})


@pytest.mark.parametrize(
    "change", [len, lose, alter, hand_on, double], ids=lambda each: each.__name__
)
def test_sql_counts_what_the_judge_counts(change: Callable[[Rows], None], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(RECORDED, run)
    with (run / "orders.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with (run / "orders.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    main(["reconcile", str(run)])
    judged = json.loads((run / "summary.json").read_text())["orders"]
    with duckdb.connect() as database:
        for table in ("attempts", "orders", "products"):
            database.execute(f"CREATE TABLE {table} AS FROM '{run / table}.csv'")
        counted: dict[str, int] = {}
        for _, verdict, attempts in database.execute(QUERIES["verdicts"]).fetchall():
            counted[verdict] = counted.get(verdict, 0) + attempts
        (duplicate,) = database.execute(QUERIES["duplicates"]).fetchone() or (None,)
        (unexpected,) = database.execute(QUERIES["unexpected"]).fetchone() or (None,)
    for verdict in ("confirmed", "lost", "altered", "clean", "contradicted", "committed"):
        assert counted.get(verdict, 0) == judged[verdict], verdict
    assert counted.get("absent", 0) == judged["absent"] + judged["possible"]
    assert duplicate == judged["duplicate"]
    assert unexpected >= judged["unexpected"]
    assert (judged["lost"], judged["altered"], judged["duplicate"]) == {
        "len": (0, 0, 0),
        "lose": (judged["lost"], 0, 0),
        "alter": (0, 2, 0),
        "hand_on": (1, 0, 0),
        "double": (0, 0, 1),
    }[change.__name__]
    assert judged["lost"] > 0 or change is not lose
