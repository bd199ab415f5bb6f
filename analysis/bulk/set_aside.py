"""Set the undisputed attempts of a large run aside, and write its lines: `statements` in an engine.

What is left goes to the exact judge. That changes no byte of the results, and takes a fraction of
the time, in memory that is bounded.
"""
# ruff: noqa: S608 -- names in queries are our columns'

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from analysis.bulk.engine import Connect, Engine, EngineFailed
from analysis.bulk.statements import KINDS, LINES, NUMBERS, judging
from analysis.bulk.views import attempts_view, orders_view
from analysis.evidence.errors import EvidenceError
from analysis.evidence.records import Attempt, OrderRow, Verdict
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ATTEMPTS, ORDERS, RecordT, Table
from analysis.judging.access_log import trace_root
from analysis.judging.row_owners import total_of
from analysis.judging.undisputed import Ending, Question, Stretch, Undisputed

_PRICE_DECIMALS, _PRICE_BELOW = 4, 10**9


@dataclass(slots=True)
class Bulk:
    """The undisputed attempts in numbers, and the disputed ones and their rows as they are."""

    undisputed: Undisputed
    attempts: list[Attempt]
    rows: list[OrderRow]
    _engine: Engine
    _scratch: Path

    def write(
        self,
        file_name: str,
        header: Sequence[str],
        attempts: Sequence[Attempt],
        lines: Sequence[str],
    ) -> Path:
        """Write all lines, those of attempts by when they were sent, and then those of rows.

        `lines` are those of the disputed, ends included: of these attempts, then of rows. Returns
        the file, which is gone with the rest of the scratch unless somebody takes it.
        """
        places: list[tuple[int | None, str | None]]
        places = [(each.sent_at or 0, each.attempt_id) for each in attempts]
        places += [(None, None)] * (len(lines) - len(attempts))
        given = (
            (*place, number, _encodable(line.removesuffix("\n")))
            for number, (place, line) in enumerate(zip(places, lines, strict=True))
        )
        columns = {"sent": "BIGINT", "id": "text", "number": "BIGINT", "line": "text"}
        self._engine.give("given", columns, given)
        target = self._scratch / file_name
        self._engine.write(LINES, header=",".join(header) + "\r", target=target)
        return target


def _encodable(text: str) -> str:
    """Return a text as it stands in our files, where it may not be valid Unicode."""
    return text.encode(errors="backslashreplace").decode()


@contextmanager
def set_aside(
    directory: RunDirectory, question: Question, connect: Connect, *, is_needed: bool = False
) -> Iterator[Bulk | None]:
    """Give a run's attempts and rows with the undisputed apart; None where that cannot be.

    So it is where a row bears no order's key, where nothing is confirmed, and where a file makes no
    sense: the exact reading says of it what and where. Where there is none (`is_needed`), that is
    an EvidenceError. EngineFailed where the engine cannot go on.
    """
    with directory.judging_scratch() as scratch, ExitStack() as until_judged:
        engine = until_judged.enter_context(connect(directory, scratch))
        unfit: tuple[type[Exception], ...] = (
            *(EvidenceError, ValueError, TypeError, ArithmeticError, OSError),
            *engine.failures,
        )
        try:
            found = _set_aside(engine, question, scratch)
        except EngineFailed:
            raise
        except unfit as error:
            if is_needed:
                raise EvidenceError(str(error)) from error
            found = None
        if found is None and is_needed:
            raise EvidenceError(
                "nothing can be set aside: a row of the orders table bears no order's key, or no "
                "attempt is confirmed; copy the run's tables and judge it without --engine"
            )
        if found is None:
            until_judged.close()  # the exact judge needs the memory
        yield found


def _set_aside(engine: Engine, question: Question, scratch: Path) -> Bulk | None:
    types = {each.file_name: engine.open(each, _name_of(each)) for each in (ATTEMPTS, ORDERS)}
    _add_prices(engine, question)
    engine.run(attempts_view(types[ATTEMPTS.file_name], question, engine.dialect))
    engine.run(orders_view(types[ORDERS.file_name], engine.dialect))
    for statement in judging(question, engine.dialect):
        engine.run(statement)
    if list(engine.rows(NUMBERS["keyless"])) != [(0,)]:
        return None
    if question.has_log:
        _dispute_traces(engine)
    undisputed = _numbers(engine)
    if not undisputed.count(Verdict.CONFIRMED):
        return None
    attempts = list(_disputed(engine, ATTEMPTS, types[ATTEMPTS.file_name]))
    rows = list(_disputed(engine, ORDERS, types[ORDERS.file_name]))
    _check_number(engine, ATTEMPTS, undisputed.attempts + len(attempts))
    _check_number(engine, ORDERS, undisputed.rows + len(rows))
    return Bulk(undisputed, attempts, rows, engine, scratch)


def _check_number(engine: Engine, table: Table[Any], found: int) -> None:
    """EngineFailed unless all records of a table are accounted for.

    A cluster can lose a part of what it has put down for itself, and say nothing.
    """
    ((number,),) = engine.rows(f"SELECT count(*) FROM {_name_of(table)}")
    if number != found:
        raise EngineFailed(
            f"of {number} records of {_name_of(table)} the engine knows {found} in the end; see "
            "where it keeps its tables: all of its machines have to see that place"
        )


def _name_of(table: Table[Any]) -> str:
    return table.file_name.removesuffix(".csv")


def _add_prices(engine: Engine, question: Question) -> None:
    """Add what products cost, as far as that is known, and exactly so."""
    unit = Decimal(1).scaleb(-_PRICE_DECIMALS)
    # Of a product that is listed twice the last price is known, as where the exact judge looks.
    last = {each.id: each.price for each in question.products or () if each.price is not None}
    known = [
        (number, price)
        for number, price in last.items()
        if 0 <= number < 1 << 63 and 0 <= price < _PRICE_BELOW and price % unit == 0
    ]
    engine.give("prices", {"product": "BIGINT", "price": f"DECIMAL(18, {_PRICE_DECIMALS})"}, known)


# --- what was found ---


def _dispute_traces(engine: Engine) -> None:
    """Leave to the exact judge who shares a trace with the disputed: their lines are its, too."""
    query = f"SELECT DISTINCT trace_id FROM attempts WHERE {_is_disputed(engine)}"
    roots = {trace_root(trace_id or "") for (trace_id,) in engine.rows(query)} - {""}
    engine.give("roots", {"root": "text"}, [(each,) for each in sorted(roots)])
    engine.run(
        "INSERT INTO disputed SELECT aid FROM undisputed WHERE root IN ("
        f"SELECT {engine.dialect.hash.format('root')} FROM roots)"
    )


def _is_disputed(engine: Engine) -> str:
    attempt_id = f"CAST(attempt_id AS {engine.dialect.text})"
    is_it = f"{engine.dialect.hash.format(attempt_id)} IN (SELECT aid FROM disputed)"
    return f"coalesce({attempt_id}, '') = '' OR {is_it}"


def _disputed(engine: Engine, table: Table[RecordT], types: Mapping[str, str]) -> Iterator[RecordT]:
    read = table.reader(list(types))
    as_text = engine.dialect.as_text
    cells = ", ".join(as_text(found, name) for name, found in types.items())
    query = f"SELECT {cells} FROM {_name_of(table)} WHERE {_is_disputed(engine)}"
    yield from map(read, engine.rows(query))


def _numbers(engine: Engine) -> Undisputed:
    def times(name: str) -> dict[int, int]:
        return dict(engine.rows(NUMBERS[name]))

    endings: Counter[Ending] = Counter()
    sold: Counter[int] = Counter()
    pieces, values = 0, [Decimal(0)]
    common: list[Stretch] = []
    groups = engine.rows(NUMBERS["groups"])
    for kind, http, error, product, count, quantity, total, low, high in groups:
        ending = Ending(*KINDS[kind], http, error)
        endings[ending] += count
        if quantity is not None:
            sold[product] += int(quantity)
        if ending.verdict is Verdict.COMMITTED:
            pieces += int(quantity)
            # What costs nothing has no decimals, as where the exact judge adds it up.
            values.append(Decimal(total) or Decimal(0))
        if low is not None and high is not None:
            common.append((low, high))
    return Undisputed(
        endings=endings,
        sold=sold,
        hidden=(pieces, total_of(values)),
        from_due=times("from_due"),
        from_sent_of_due=times("from_sent_of_due"),
        from_sent_of_others=times("from_sent_of_others"),
        common=common,
        edges=lambda: engine.rows(NUMBERS["edges"]),
    )
