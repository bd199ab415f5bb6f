"""Sift the orders of a large run that leave nothing to find out from those that do, in SQL.

A part of `run_directory` and `judgement`, for them alone. An acknowledged attempt and the row that
its reply named are a *plain* pair if both bear the same order key and the same attempt id, agree in
product, quantity and total, and nothing else in the run bears or names any of the three, the row's
id included, nor tried the order again. Then they are a component of their own among attempts and
rows: `reconcile` would confirm the attempt whatever the others are, and judge the others alike
without the pair. An attempt without a definite answer is plain if no row and no other attempt
bears its keys: it is absent where the table is known to be whole and at rest.

Whatever is spelled in another way than we do (ids that are no UUIDs, repeated attempts, refusals,
times of another form, quotes in a cell) is left to the exact judging, and so is the whole run where
one row bears no order's key, or DuckDB does not read the files as we do.
"""
# ruff: noqa: S608 -- names and paths in queries go through name_of and literal

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb

from analysis.duck import connected, literal, name_of
from analysis.failures import RUN_STOPPING
from analysis.ledger import IN_FLIGHT
from analysis.matching import Prices, is_same_money
from analysis.plain import Plain, Question, Stretch
from analysis.records import Attempt, OrderRow, Outcome
from analysis.tables import ATTEMPTS, ORDERS

__all__ = ["Sieve", "opened"]

_MEMORY = "550MB"  # beside what is not DuckDB's, and what it takes for a moment beyond its limit
_LINES_AT_ONCE = 100_000
_GROUPS = 32
_AT_ONCE = 2  # stretches of lines
_MOST_DEMOTED = 0.2  # of the pairs: with more of them the exact judging is no slower
_SUCCESSES = "('200', '201', '202')"
_CENTS = 100
_MARK = "\x01"  # stands in a line for one that was rendered elsewhere
_ROW = 3  # the kind of a row that is no pair's
_NO_VALUE = "\x02\x03"  # no cell; else an empty one would be NULL


@dataclass(slots=True)
class Sieve:
    """The plain orders of a run in a database of its own, and the other attempts and rows."""

    database: duckdb.DuckDBPyConnection
    plain: Plain
    attempts: list[Attempt]
    rows: list[OrderRow]

    def lines(self, others: Sequence[tuple[Attempt, str]]) -> Iterator[str]:
        """Yield reconciliation.csv's lines of all attempts, many at once, in `reconcile`'s order.

        `others` are the attempts that are not plain, in that order, each with its whole line.
        """
        self._place(others)
        total = self._one("SELECT count(*) FROM lines")
        if not total:
            return
        parts = math.ceil(total / _LINES_AT_ONCE)
        shares = ", ".join(str(part / parts) for part in range(parts))
        edges = self._one(f"SELECT quantile_disc(sent, [{shares}]) FROM lines")
        end = self._one("SELECT max(sent) + 1 FROM lines")
        spans = list(pairwise([*sorted(set(edges)), end]))
        with ThreadPoolExecutor(_AT_ONCE) as workers:  # DuckDB sorts a stretch in one thread
            ahead = deque(workers.submit(self._between, *each) for each in spans[:_AT_ONCE])
            for place in range(len(spans)):
                found = ahead.popleft().result()
                if place + _AT_ONCE < len(spans):
                    ahead.append(workers.submit(self._between, *spans[place + _AT_ONCE]))
                yield from (_filled_in(text, others) for (text,) in found)

    def _place(self, others: Sequence[tuple[Attempt, str]]) -> None:
        keys = [[each.sent_at or 0 for each, _ in others], [each.attempt_id for each, _ in others]]
        self.database.execute(
            "CREATE OR REPLACE TABLE others AS SELECT unnest(?::BIGINT[]) AS sent, "
            "unnest(?::VARCHAR[]) AS id, unnest(range(?)) AS number",
            [*keys, len(others)],
        )
        self.database.execute(_LINES)

    def _between(self, low: int, high: int) -> list[tuple[str]]:
        with self.database.cursor() as database:
            return database.execute(
                f"SELECT string_agg({_LINE}, '' ORDER BY sent, id, number) FROM lines "
                f"WHERE sent >= {low} AND sent < {high} "
                f"GROUP BY (sent - {low}) * {_GROUPS} // ({high} - {low}) ORDER BY min(sent)"
            ).fetchall()

    def _one(self, query: str) -> Any:
        found = self.database.execute(query).fetchone()
        return found[0] if found else None


def _filled_in(text: str, others: Sequence[tuple[Attempt, str]]) -> str:
    pieces = text.split(_MARK)
    # Others stand at every second place: a plain line has no such mark in it.
    pieces[1::2] = [others[int(number)][1] for number in pieces[1::2]]
    return "".join(pieces)


@contextmanager
def opened(
    attempts: Path, orders: Path, question: Question, *, scratch: Path
) -> Iterator[Sieve | None]:
    """Sift two CSV files; None where they are to be judged as a whole.

    `scratch` is a folder for what does not fit into memory.
    """
    with connected(scratch, memory=_MEMORY) as database:
        database.execute("SET preserve_insertion_order = false")  # we sort where it matters
        yield _sift(database, attempts, orders, question)


def _sift(
    database: duckdb.DuckDBPyConnection, attempts: Path, orders: Path, question: Question
) -> Sieve | None:
    # Whatever it is, the exact reading says it in our own words, with file and line.
    with suppress(duckdb.Error, ValueError, TypeError, ArithmeticError):
        files = _Files.of(attempts, orders)
        if files is not None:
            return _Sifting(database, files, question).run()
    return None


@dataclass(frozen=True, slots=True)
class _Files:
    """SQL that reads the two files as text, and the columns of each."""

    attempts: str
    orders: str
    attempt_columns: list[str]
    order_columns: list[str]

    @classmethod
    def of(cls, attempts: Path, orders: Path) -> "_Files | None":
        heads = [_header(attempts), _header(orders)]
        if not all(heads):
            return None
        ATTEMPTS.reader(heads[0])
        ORDERS.reader(heads[1])
        return cls(_cells_of(attempts, heads[0]), _cells_of(orders, heads[1]), *heads)


def _header(path: Path) -> list[str]:
    """Return the names in the first line; none where it is not one plain line as ours is."""
    with path.open("rb") as file:
        line = file.readline(1 << 16)
    names = line.decode("utf-8-sig").removesuffix("\r\n")
    return names.split(",") if line.endswith(b"\r\n") and '"' not in names else []


def _cells_of(path: Path, header: Sequence[str]) -> str:
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    return (
        f"read_csv({literal(path)}, columns={{{columns}}}, header=true, auto_detect=false, "
        f"delim=',', quote='\"', escape='\"', new_line='\\r\\n', nullstr={literal(_NO_VALUE)}, "
        "hive_partitioning=false)"
    )


def _cells(columns: Sequence[str]) -> dict[str, str]:
    """Return SQL that hands a row's cells on, and the list of them for where it is wanted.

    A list of every row's would be most of the work.
    """
    places = [f"cell_{number}" for number in range(len(columns))]
    pairs = zip(columns, places, strict=True)
    named = ", ".join(f"{name_of(column)} AS {place}" for column, place in pairs)
    return {"named": named, "cells": ", ".join(places)}


# --- what is spelled as we do ---


def _time(column: str) -> str:
    """Microseconds; NULL of another form: DuckDB reads blanks, slashes, year 0 and hour 24 too."""
    is_ours = (
        f"{column} LIKE '____-__-__T__:__:__.______Z' AND {column} >= '1' AND {column} < ':' "
        f"AND {column} NOT LIKE '% Z' AND {column} NOT LIKE '___________24%'"
    )
    return f"CASE WHEN {is_ours} THEN epoch_us(TRY_CAST({column} AS TIMESTAMP)) END"


def _is_same(value: str, text: str) -> str:
    return f"CAST({value} AS VARCHAR) = {text}"


_ATTEMPTS = """
CREATE TEMP VIEW found AS
SELECT kind, aid, key, order_id, product, quantity, due, sent, ended,
       CASE WHEN kind <> 1 THEN [{cells}] END AS cells,
       CASE WHEN kind = 1 THEN order_id END AS wanted,
       CASE WHEN kind = 1 THEN CAST(http_status AS SMALLINT) END AS http
FROM (
  SELECT *, CASE
    WHEN NOT is_ours OR attempt_id IN ({of_interest}) OR {in_flight} THEN 0
    WHEN outcome = 'acknowledged' AND {is_same_order} AND error = '' AND http_status IN {successes}
    THEN 1
    WHEN outcome = 'indeterminate' AND {may_be_absent} AND order_text = ''
      AND regexp_full_match(error, '[a-z0-9_ ]*') AND error NOT IN ({cut_off})
      AND regexp_full_match(http_status, '([1-9][0-9][0-9])?')
    THEN 2 ELSE 0 END AS kind
  FROM (
    SELECT *, coalesce(
      {is_same_aid} AND {is_same_key} AND {is_same_product} AND {is_same_quantity}
      AND ended >= sent AND attempt_no = '1' AND retry_text = ''
      AND (due_at = '' OR due IS NOT NULL), false) AS is_ours
    FROM (
      SELECT TRY_CAST(attempt_id AS UUID) AS aid, TRY_CAST(order_key AS UUID) AS key,
             TRY_CAST("order_id" AS BIGINT) AS order_id, "order_id" AS order_text,
             TRY_CAST(product_id AS INTEGER) AS product,
             TRY_CAST("quantity" AS INTEGER) AS quantity,
             {due} AS due, {sent} AS sent, {ended} AS ended,
             {retry_of} AS retry_text,
             attempt_id, order_key, product_id, "quantity" AS quantity_text, due_at, attempt_no,
             outcome, http_status, error, {named}
      FROM {source})))
"""

_ORDERS = """
CREATE TEMP TABLE made AS
SELECT CASE WHEN is_ours THEN id END AS named, id, aid, key, product, quantity, cents, created,
       CASE WHEN is_ours THEN committed END AS committed,
       CASE WHEN NOT is_ours THEN [{cells}] END AS cells,
       CASE WHEN is_ours THEN status || {between} || served_by END AS rest,
       order_key = '' AS is_keyless
FROM (
  SELECT *, coalesce(
    {is_same_id} AND {is_same_aid} AND {is_same_key} AND {is_same_product} AND {is_same_quantity}
    AND {is_same_total} AND money >= 0 AND created IS NOT NULL
    AND (committed_at = '' OR committed IS NOT NULL)
    AND NOT contains(status, {between}) AND NOT contains(served_by, {between}), false) AS is_ours
  FROM (
    SELECT TRY_CAST("id" AS BIGINT) AS id, "id" AS id_text,
           TRY_CAST(attempt_id AS UUID) AS aid, TRY_CAST(order_key AS UUID) AS key,
           TRY_CAST(product_id AS INTEGER) AS product, TRY_CAST("quantity" AS INTEGER) AS quantity,
           TRY_CAST(total AS DECIMAL(18, 2)) AS money, CAST(money * 100 AS BIGINT) AS cents, total,
           {created} AS created, {committed} AS committed, committed_at, status, served_by,
           attempt_id, order_key, product_id, "quantity" AS quantity_text, {named}
    FROM {source}))
"""

# One table of all: attempts with the rows that are theirs, attempts without, and as another kind
# rows without. It has no column for each side: what a column takes of memory, NULL takes as well.
_JOINED = """
CREATE TABLE joined AS
SELECT coalesce(found.kind, {row_kind}) AS kind,
       found.kind IS NOT NULL AND made.named IS NOT NULL AS is_pair,
       coalesce(found.aid, made.aid) AS aid, coalesce(found.key, made.key) AS key,
       coalesce(order_id, made.id) AS order_id,
       found.product, found.quantity, due, sent, ended, http, cents, created, committed,
       CASE WHEN found.kind IS NOT NULL THEN found.cells
            ELSE coalesce(made.cells, {row_cells}) END AS cells,
       found.kind IS NULL AND made.is_keyless AS is_keyless
FROM found FULL JOIN made
  ON found.wanted = made.named AND found.aid = made.aid AND found.key = made.key
 AND found.product = made.product AND found.quantity = made.quantity
"""

_OTHERS = """
CREATE TEMP TABLE rest AS SELECT * FROM joined WHERE NOT is_pair;
CREATE TEMP TABLE rest_keys AS
  SELECT key AS it, count(*) AS times FROM rest WHERE key IS NOT NULL GROUP BY key;
CREATE TEMP TABLE rest_aids AS SELECT aid AS it, count(*) AS times FROM (
  SELECT aid FROM rest WHERE aid IS NOT NULL
  UNION ALL SELECT retried FROM (
    SELECT TRY_CAST({retry_of} AS UUID) AS retried FROM rest WHERE kind = 0
  ) WHERE retried IS NOT NULL) GROUP BY aid;
CREATE TEMP TABLE rest_ids AS SELECT DISTINCT order_id AS it FROM rest WHERE order_id IS NOT NULL;
CREATE TEMP TABLE unfair (product INTEGER, quantity INTEGER, cents BIGINT);
"""

_DEMOTED = """
CREATE TABLE demoted AS SELECT order_id, aid, key FROM joined WHERE is_pair AND (
  key IN (SELECT it FROM rest_keys) OR aid IN (SELECT it FROM rest_aids)
  OR order_id IN (SELECT it FROM rest_ids)
  OR (product, quantity, cents) IN (SELECT (product, quantity, cents) FROM unfair));
CREATE TEMP TABLE to_read AS SELECT CAST(aid AS VARCHAR) AS id FROM demoted
  UNION SELECT CAST(aid AS VARCHAR) FROM rest WHERE kind = 1;
"""

_ABSENT = """
CREATE TABLE absent AS
SELECT aid, key, product, quantity, due, sent, ended,
       cells[{http_status}] AS http_text, cells[{error}] AS error
FROM rest WHERE kind = 2
  AND key IN (SELECT it FROM rest_keys WHERE times = 1)
  AND aid IN (SELECT it FROM rest_aids WHERE times = 1)
  AND key NOT IN (SELECT key FROM demoted) AND aid NOT IN (SELECT aid FROM demoted)
"""

_ID = "CAST(order_id AS VARCHAR)"
_PAIRS = "(SELECT * FROM joined WHERE is_pair AND aid NOT IN (SELECT aid FROM demoted))"

_LINES = f"""
CREATE OR REPLACE VIEW lines AS
SELECT sent, CAST(aid AS VARCHAR) AS id, 0 AS number, key, order_id, product, quantity,
       CAST(http AS VARCHAR) AS http, '' AS error, committed, 1 AS kind FROM {_PAIRS}
UNION ALL
SELECT sent, CAST(aid AS VARCHAR), 0, key, NULL, product, quantity, http_text, error, NULL, 2
FROM absent
UNION ALL SELECT sent, id, number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 3 FROM others
"""

# As `summary` writes them; the columns are RECONCILIATION_COLUMNS.
_LINE = f"""CASE kind
WHEN 1 THEN concat('attempt,', id, ',', key, ',', order_id, ',', product, ',', quantity,
  ',acknowledged,', http, ',,confirmed,order_id,1,,,,',
  strftime(make_timestamp(committed), '%Y-%m-%dT%H:%M:%S.%fZ'), chr(13), chr(10))
WHEN 2 THEN concat('attempt,', id, ',', key, ',,', product, ',', quantity, ',indeterminate,',
  http, ',', error, ',absent,key,0,,,,', chr(13), chr(10))
ELSE concat('{_MARK}', number, '{_MARK}') END"""

# The first stretch that lies in the most of the bounds: `clock` has the same in Python.
_AGREED = f"""
WITH edges AS (
  SELECT created - ended AS place, 0 AS is_end FROM {_PAIRS}
  UNION ALL SELECT created - sent, 1 FROM {_PAIRS}
  UNION ALL SELECT unnest(?::BIGINT[]), 0 UNION ALL SELECT unnest(?::BIGINT[]), 1
), depths AS (
  SELECT place, is_end, sum(1 - 2 * is_end) OVER in_time AS depth, lead(place) OVER in_time AS ends
  FROM edges WINDOW in_time AS (ORDER BY place, is_end ROWS UNBOUNDED PRECEDING))
SELECT place, ends FROM depths WHERE is_end = 0 ORDER BY depth DESC, place LIMIT 1
"""

_TOOK = f"""
SELECT due IS NOT NULL AS was_due, greatest(0, ended - due) AS from_due, ended - sent AS from_sent
FROM (SELECT due, sent, ended FROM {_PAIRS} UNION ALL SELECT due, sent, ended FROM absent)
"""


@dataclass(slots=True)
class _Sifting:
    database: duckdb.DuckDBPyConnection
    files: _Files
    question: Question

    def run(self) -> Sieve | None:
        self._read()
        if not self._are_pairs_unique() or self._one("SELECT bool_or(is_keyless) FROM joined"):
            return None
        self.database.execute(_OTHERS.format(retry_of=self._retry_of()))
        self._find_unfair()
        self.database.execute(_DEMOTED)
        pairs = self._one("SELECT count(*) FROM joined WHERE is_pair")
        demoted = self._one("SELECT count(*) FROM demoted")
        if demoted > pairs * _MOST_DEMOTED or demoted == pairs:
            return None
        places = {name: self._place(name) for name in ("http_status", "error")}
        self.database.execute(_ABSENT.format(**places))
        return Sieve(
            self.database, self._plain(pairs - demoted), [*self._attempts()], [*self._rows()]
        )

    def _place(self, column: str) -> int:
        return self.files.attempt_columns.index(column) + 1

    def _retry_of(self) -> str:
        """Return the SQL of that cell, of an attempt whose cells were kept."""
        columns = self.files.attempt_columns
        return f"cells[{self._place('retry_of')}]" if "retry_of" in columns else "''"

    def _read(self) -> None:
        question, files = self.question, self.files
        retry_of = '"retry_of"' if "retry_of" in files.attempt_columns else "''"
        at = question.fault_at
        same = {
            "is_same_aid": _is_same("aid", "attempt_id"),
            "is_same_key": _is_same("key", "order_key"),
            "is_same_product": _is_same("product", "product_id"),
            "is_same_quantity": _is_same("quantity", "quantity_text"),
        }
        self.database.execute(
            _ORDERS.format(
                **same,
                is_same_id=_is_same("id", "id_text"),
                is_same_total=_is_same("money", "total"),
                created=_time("created_at"),
                committed=_time("committed_at"),
                between="chr(31)",
                **_cells(files.order_columns),
                source=files.orders,
            )
        )
        self.database.execute(
            _ATTEMPTS.format(
                **same,
                of_interest=", ".join(map(literal, self._of_interest())),
                in_flight="false" if at is None else f"(sent <= {at} AND ended > {at})",
                is_same_order=_is_same("order_id", "order_text"),
                successes=_SUCCESSES,
                may_be_absent=str(question.may_be_absent and not question.has_log).lower(),
                cut_off=f"{literal(IN_FLIGHT)}, {literal(RUN_STOPPING)}",
                due=_time("due_at"),
                sent=_time("sent_at"),
                ended=_time("ended_at"),
                retry_of=retry_of,
                **_cells(files.attempt_columns),
                source=files.attempts,
            )
        )
        self.database.execute(_JOINED.format(row_cells=self._row_cells(), row_kind=_ROW))
        self.database.execute("DROP VIEW found; DROP TABLE made")

    def _of_interest(self) -> list[str]:
        if not self.question.has_log:
            return [self.question.of_interest]
        at = self.question.fault_at
        caught = f"{_time('sent_at')} <= {at} AND {_time('ended_at')} > {at}"
        calm = "" if at is None else f"AND NOT ({caught})"
        last = self._all(
            f"SELECT max_by(attempt_id, sent_at || attempt_id) FROM {self.files.attempts} "
            f"WHERE outcome = {literal(Outcome.ACKNOWLEDGED)} AND served_by <> '' {calm} "
            "GROUP BY served_by"
        )
        return [self.question.of_interest, *(each for (each,) in last)]

    def _row_cells(self) -> str:
        """Return the SQL that spells a row again as its file has it."""
        spelled = {
            "id": "CAST(made.id AS VARCHAR)",
            "product_id": "CAST(made.product AS VARCHAR)",
            "quantity": "CAST(made.quantity AS VARCHAR)",
            "total": "concat(made.cents // 100, '.', "
            "lpad(CAST(made.cents % 100 AS VARCHAR), 2, '0'))",
            "status": "split_part(made.rest, chr(31), 1)",
            "created_at": _spelled_time("made.created"),
            "order_key": "CAST(made.key AS VARCHAR)",
            "attempt_id": "CAST(made.aid AS VARCHAR)",
            "served_by": "split_part(made.rest, chr(31), 2)",
            "committed_at": f"coalesce({_spelled_time('made.committed')}, '')",
        }
        return f"[{', '.join(spelled.get(name, chr(39) * 2) for name in self.files.order_columns)}]"

    def _are_pairs_unique(self) -> bool:
        counts = self.database.execute(
            "SELECT count(*), count(DISTINCT order_id), count(DISTINCT key), count(DISTINCT aid) "
            "FROM joined WHERE is_pair"
        ).fetchone()
        return counts is not None and counts[0] > 0 and len(set(counts)) == 1

    def _find_unfair(self) -> None:
        """Look at each product, quantity and total once, by the very rules of the exact judging."""
        prices = Prices.of(self.question.products)
        for product, quantity, cents in self.database.execute(
            "SELECT DISTINCT product, quantity, cents FROM joined WHERE is_pair"
        ).fetchall():
            expected = prices.total(product, quantity)
            if expected is None or not is_same_money(Decimal(cents) / _CENTS, expected):
                self.database.execute(
                    "INSERT INTO unfair VALUES (?, ?, ?)", [product, quantity, cents]
                )

    def _plain(self, confirmed: int) -> Plain:
        return Plain(
            confirmed=confirmed,
            absent={
                (int(http) if http else None, error): count
                for http, error, count in self._all(
                    "SELECT http_text, error, count(*) FROM absent GROUP BY ALL"
                )
            },
            sold=dict(self._all(f"SELECT product, sum(quantity)::BIGINT FROM {_PAIRS} GROUP BY 1")),
            from_due=self._took("from_due", "was_due"),
            from_sent_of_due=self._took("from_sent", "was_due"),
            from_sent_of_others=self._took("from_sent", "NOT was_due"),
            agreed=self._agreement(),
        )

    def _took(self, what: str, which: str) -> dict[int, int]:
        return dict(self._all(f"SELECT {what}, count(*) FROM ({_TOOK}) WHERE {which} GROUP BY 1"))

    def _agreement(self) -> Callable[[Sequence[Stretch]], Stretch | None]:
        found = self._all(f"SELECT max(created - ended), min(created - sent) FROM {_PAIRS}")[0]

        def agreed(further: Sequence[Stretch]) -> Stretch | None:
            lows = [found[0], *(low for low, _ in further)]
            highs = [found[1], *(high for _, high in further)]
            if max(lows) <= min(highs):
                return max(lows), min(highs)  # all of them agree, as they mostly do
            best = self.database.execute(_AGREED, [lows[1:], highs[1:]]).fetchone()
            return (best[0], best[1]) if best else None

        return agreed

    def _attempts(self) -> Iterator[Attempt]:
        read = ATTEMPTS.reader(self.files.attempt_columns)
        for (cells,) in self._all(
            f"SELECT cells FROM rest WHERE kind <> {_ROW} "
            "AND NOT (kind = 2 AND aid IN (SELECT aid FROM absent)) "
            f"AND cells[{self._place('attempt_id')}] NOT IN (SELECT id FROM to_read) AND kind <> 1"
        ):
            yield read(_whole(cells))
        if self._one("SELECT count(*) FROM to_read"):
            columns = ", ".join(map(name_of, self.files.attempt_columns))
            for cells in self._all(
                f"SELECT {columns} FROM {self.files.attempts} "
                "WHERE attempt_id IN (SELECT id FROM to_read)"
            ):
                yield read(_whole(cells))

    def _rows(self) -> Iterator[OrderRow]:
        read = ORDERS.reader(self.files.order_columns)
        place = self.files.order_columns.index("id") + 1
        for (cells,) in self._all(
            f"SELECT cells FROM rest WHERE kind = {_ROW} "
            f"AND cells[{place}] NOT IN (SELECT {_ID} FROM demoted)"
        ):
            yield read(_whole(cells))
        if self._one("SELECT count(*) FROM demoted"):
            columns = ", ".join(map(name_of, self.files.order_columns))
            for cells in self._all(
                f"SELECT {columns} FROM {self.files.orders} WHERE id IN (SELECT {_ID} FROM demoted)"
            ):
                yield read(_whole(cells))

    def _all(self, query: str) -> list[Any]:
        return self.database.execute(query).fetchall()

    def _one(self, query: str) -> Any:
        return self._all(query)[0][0]


def _spelled_time(value: str) -> str:
    return f"strftime(make_timestamp({value}), '%Y-%m-%dT%H:%M:%S.%fZ')"


def _whole(cells: Sequence[str | None]) -> list[str]:
    """Return the cells; ValueError if one was taken for no value at all."""
    if None in cells:
        message = "a cell that stands for no value"
        raise ValueError(message)
    return cells  # type: ignore[return-value]
