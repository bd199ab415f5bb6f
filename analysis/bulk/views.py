"""Attempts and rows as the views `a` and `o` that `statements` asks for, as SQL text."""
# ruff: noqa: S608 -- names in queries are our columns', texts go through literal

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.bulk.statements import Dialect
from analysis.evidence.ledger.failures import RUN_STOPPING
from analysis.evidence.ledger.reader import IN_FLIGHT
from analysis.evidence.sql.duck import literal
from analysis.evidence.sql.parquet import TEXT, TIME_FORMAT
from analysis.evidence.tables import ATTEMPTS, ORDERS, Kind, Table
from analysis.judging.undisputed import Question

_MONEY = "DECIMAL(38, 2)"
_MOST_PIECES = 10**9  # with what they may cost far fewer digits than Decimal reckons with
_LAST_TIME = 253_402_300_799_999_999  # of the year 9999
_CUT_OFF = f"{literal(IN_FLIGHT)}, {literal(RUN_STOPPING)}"
_TEXTS = ("aid", "okey", "error")  # of a line, that may hold anything
_TRACE = "Root=[0-9A-Za-z-]+"


def attempts_view(types: Mapping[str, str], question: Question, dialect: Dialect) -> str:
    """Return the statement that makes `a` of the table `attempts`, by the types of its columns."""
    value = _Cells(ATTEMPTS, types, dialect)
    is_calm = "true"
    if question.fault_at is not None:
        is_calm = f"NOT (sent <= {question.fault_at} AND ended > {question.fault_at})"
    # Who answers, and the trace of a request, tell only where there is a log to look into.
    server = root = f"CAST(NULL AS {dialect.text})"
    has_plain_trace = "true"
    if question.has_log:
        trace_id = value.text("trace_id")
        server = f"nullif({value.text('served_by')}, '')"
        root = f"nullif(substr({trace_id}, {len('Root=') + 1}), '')"
        has_plain_trace = f"({trace_id} = '' OR {dialect.matches.format(trace_id, _TRACE)})"
    return f"""
        CREATE VIEW a AS
        SELECT *, aid IS NOT NULL AND okey IS NOT NULL AND retry_of IS NULL AND number = 1
          AND product >= 0 AND quantity BETWEEN 0 AND {_MOST_PIECES} AND ended >= sent
          AND {is_calm} AND is_fine
          AND error NOT IN ({_CUT_OFF}) AND {" AND ".join(map(_needs_no_quotes, _TEXTS))} AS is_ours
        FROM (
          SELECT nullif({value.text("attempt_id")}, '') AS aid,
            nullif({value.text("order_key")}, '') AS okey,
            nullif({value.text("retry_of")}, '') AS retry_of,
            {value.value("attempt_no")} AS number,
            {value.value("product_id")} AS product, {value.value("quantity")} AS quantity,
            {value.value("due_at")} AS due, {value.value("sent_at")} AS sent,
            {value.value("ended_at")} AS ended, {value.number("order_id")} AS order_id,
            {value.text("outcome")} AS outcome, {value.value("http_status")} AS http,
            {value.text("error")} AS error, {server} AS server, {root} AS root,
            {has_plain_trace} AND {value.is_fine("due_at")} AND {value.is_fine("order_id")}
            AND {value.is_fine("http_status")} AS is_fine
          FROM attempts)
    """


def orders_view(types: Mapping[str, str], dialect: Dialect) -> str:
    """Return the statement that makes `o` of the tables `orders` and `prices`."""
    value = _Cells(ORDERS, types, dialect)
    return f"""
        CREATE VIEW o AS
        SELECT true AS is_there, row_cells.*, id >= 0 AND created IS NOT NULL AND is_fine
          AND total = price * quantity AS is_ours
        FROM (
          SELECT {value.number("id")} AS id, nullif({value.text("attempt_id")}, '') AS aid,
            nullif({value.text("order_key")}, '') AS okey,
            {value.value("product_id")} AS product, {value.value("quantity")} AS quantity,
            {value.value("total")} AS total, {value.value("created_at")} AS created,
            {value.value("committed_at")} AS committed,
            {value.is_fine("committed_at")} AND {value.is_fine("id")} AS is_fine
          FROM orders) AS row_cells
        LEFT JOIN prices ON row_cells.product = prices.product
    """


def _needs_no_quotes(text: str) -> str:
    special = ("'%\"%'", "'%,%'", "concat('%', chr(10), '%')", "concat('%', chr(13), '%')")
    return " AND ".join(f"{text} NOT LIKE {each}" for each in special)


@dataclass(frozen=True, slots=True)
class _Cells:
    """The SQL of a table's cells, by the types that its columns have in the file.

    A column with a single cell that its own type would not hold exactly is one of texts, which only
    DuckDB is asked to make sense of.
    """

    table: Table[Any]
    types: Mapping[str, str]
    dialect: Dialect

    def text(self, name: str) -> str:
        """Return the SQL of a cell as CSV has it, empty where the file lacks the column."""
        return self.dialect.as_text(self.types[name], name) if name in self.types else "''"

    def value(self, name: str) -> str:
        """Return the SQL of what a cell holds: NULL if nothing, or nothing that is spelled as ours.

        Times are microseconds.
        """
        kind, cell = self.table.columns[name].kind, name
        is_text = self.types[name] == TEXT
        match kind:
            case Kind.TIME:
                at = f"try_strptime({cell}, '{TIME_FORMAT}')" if is_text else cell
                at_us = self.dialect.microseconds.format(at)
                is_ours = f"{at_us} BETWEEN 0 AND {_LAST_TIME}"
                if is_text:
                    is_ours += f" AND strftime({at}, '{TIME_FORMAT}') = {cell}"
                return f"CASE WHEN {is_ours} THEN {at_us} END"
            case Kind.WHOLE:
                return _spelled(cell, "BIGINT") if is_text else f"TRY_CAST({cell} AS BIGINT)"
            case Kind.MONEY:
                return _spelled(cell, _MONEY) if is_text else cell
        raise ValueError(f"{name} is a text")

    def number(self, name: str) -> str:
        """Return the SQL of the whole number in a cell, however it is spelled.

        An id is another's, too, where it is spelled `0102`.
        """
        return f"TRY_CAST({name} AS BIGINT)"

    def is_fine(self, name: str) -> str:
        """Return the SQL of whether a cell is empty, or spelled as ours are."""
        return f"({self.value(name)} IS NOT NULL OR {self.text(name)} = '')"


def _spelled(cell: str, kind: str) -> str:
    value = f"TRY_CAST({cell} AS {kind})"
    return f"CASE WHEN CAST({value} AS VARCHAR) = {cell} THEN {value} END"
