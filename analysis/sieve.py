"""Sift the orders of a large run that leave nothing to find out from those that do, as arrays.

A part of `run_directory` and `judgement`, for them alone. An acknowledged attempt and the row that
its reply named are a *plain* pair if both bear the same order key and the same attempt id, agree in
product, quantity and total, and nothing else in the run bears or names any of the three, the row's
id included, nor tried the order again. Then they are a component of their own among attempts and
rows: `reconcile` would confirm the attempt whatever the others are, and judge the others alike
without the pair. An attempt without a definite answer is plain if such a row is its, which no reply
names: it is committed; and if no row and no other attempt bears its keys: it is absent where the
table is known to be whole and at rest. Where there is a log of the load balancer, no attempt is
plain whose line in it may be wanted: one in doubt, or one that shares a trace with one.

Whatever is spelled in another way than we do (ids that are not as long as UUIDs, repeated attempts,
refusals, times of another form, quotes in a cell) is left to the exact judging, and so is the whole
run where one row bears no order's key, two attempts made one row, or a file makes no sense.

Ids are compared byte by byte. A hash of them only finds what may be there twice: where two ids
share one by chance, both are left to the exact judging as well.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import chain, compress
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.access_log import trace_root
from analysis.arrays import Gathering, chosen, kept
from analysis.cells import (
    NO_TIME,
    Block,
    Booleans,
    Cells,
    Ids,
    Layout,
    Numbers,
    Texts,
    are_beside_equals,
    find_ids,
    hashed,
    in_order_of,
)
from analysis.failures import RUN_STOPPING
from analysis.halves import in_halves
from analysis.ledger import IN_FLIGHT
from analysis.matching import Prices, is_same_money, order_of
from analysis.plain import FIRST_TOLD, Plain, Question
from analysis.plain_lines import PlainLines
from analysis.plain_orders import STATUSES, Open, Pairs, PlainOrders
from analysis.records import Attempt, OrderRow
from analysis.table_rows import FoundRows, Index, Ordered, RowCells, TableRows
from analysis.tables import ATTEMPTS, ORDERS

__all__ = ["Sieve", "sift"]

_MOST_DEMOTED = 0.2  # of the pairs: with more of them the exact judging is no slower
_FEW = 50_000  # attempts to look at one by one, before it matters how many of all they are
_FAR_APART = 1000  # rows to look up: much is read around each
_MOST_GOODS: Final = 10**8  # above any product's number and quantity here
_MOST_ID: Final = 10**17
_CENTS = 100
_SUCCESSES = (200, 201)  # from, to
_ERROR = re.compile(rb"[a-z0-9_: ]*")
_CUT_OFF = frozenset(each.encode() for each in (IN_FLIGHT, RUN_STOPPING))

RecordT = TypeVar("RecordT", Attempt, OrderRow)


class _Lines(NamedTuple):
    """The cells of attempts, of which those that `are_ours` are spelled as ours are."""

    are_ours: Booleans
    products: Numbers
    quantities: Numbers
    due: Numbers
    sent: Numbers
    ended: Numbers
    http: Cells


class _Last(NamedTuple):
    """The order that a server answered last: when it was sent, by which attempt, and its row."""

    sent: int
    attempt_id: bytes
    row: int


class _Part(NamedTuple):
    """What was found in a block of attempts; `errors` are the texts of the open ones.

    Of each server `last` is what it answered last, and of all `others` there are the cells.
    """

    pairs: Pairs
    open: Open
    errors: list[bytes]
    last: dict[bytes, _Last]
    others: list[list[str]]


class _Tried(NamedTuple):
    """What was found among attempts; `last` are the rows that servers answered for last.

    Of those that are open, `made_rows` are the rows of the `committed`, and of the `absent` no row
    knows.
    """

    pairs: Pairs
    committed: Open
    made_rows: Numbers
    absent: Open
    errors: list[bytes]
    last: list[int]
    others: list[Attempt]


@dataclass(frozen=True, slots=True)
class Sieve:
    """The plain orders of a run in numbers, their lines, and the other attempts and rows."""

    plain: Plain
    plain_lines: PlainLines
    attempts: list[Attempt]
    rows: list[OrderRow]


def sift(attempts: Path, orders: Path, question: Question) -> Sieve | None:
    """Sift two CSV files; None where they are to be judged as a whole."""
    # Whatever it is, the exact reading says it in our own words, with file and line.
    with suppress(ValueError, TypeError, ArithmeticError, OSError):
        tried, made = (Layout(path, _header(path)) for path in (attempts, orders))
        return _Sifting(tried, made, question).run()
    return None


def _header(path: Path) -> list[str]:
    """Return the names in the first line; ValueError where it is not one plain line as ours is."""
    with path.open("rb") as file:
        line = file.readline(1 << 16)
    if not line.endswith(b"\r\n") or b'"' in line or line.count(b"\r") > 1:
        message = "another kind of header"
        raise ValueError(message)
    return line.decode("utf-8-sig").removesuffix("\r\n").split(",")


@dataclass(slots=True)
class _Sifting:
    attempts: Layout
    orders: Layout
    question: Question
    read_attempt: Callable[[Sequence[str]], Attempt] = field(init=False)
    read_row: Callable[[Sequence[str]], OrderRow] = field(init=False)
    prices: Prices = field(init=False)
    cents: dict[int, int] = field(default_factory=dict)  # of goods, by product and quantity

    def __post_init__(self) -> None:
        self.read_attempt = ATTEMPTS.reader(self.attempts.columns)
        self.read_row = ORDERS.reader(self.orders.columns)
        self.prices = Prices.of(self.question.products)

    def run(self) -> Sieve | None:
        made, other_rows = self._read_rows()
        found = self._read_attempts(made)
        rows, pairs, others = made.rows, found.pairs, found.others
        are_plain = np.zeros(len(rows.ids), np.bool_)
        are_plain[pairs.rows] = True
        are_plain[found.made_rows] = True
        if np.count_nonzero(are_plain) < len(pairs.rows) + len(found.made_rows):
            return None  # a row that two attempts name
        named = _Named.of(others, other_rows)
        are_plain[named.rows_of(made)] = False
        are_plain[found.last] = False
        if self.question.has_log:
            are_plain[pairs.rows[_are_traced(pairs, are_plain[pairs.rows], others)]] = False
        # Who is left to the exact judging by now may not be committed, and then has no story.
        hidden = np.flatnonzero(are_plain[found.made_rows])
        first = hidden[_are_first(found.committed.sent[hidden])]
        are_plain[found.made_rows[first]] = False
        of_plain = are_plain[pairs.rows]
        demoted = len(of_plain) - np.count_nonzero(of_plain)
        if demoted == len(of_plain) or demoted > len(of_plain) * _MOST_DEMOTED:
            return None
        are_committed = are_plain[found.made_rows]
        are_absent = named.are_new(found.absent)
        places = [
            *(pairs.places[~of_plain], found.committed.places[~are_committed]),
            found.absent.places[~are_absent],
        ]
        plain = PlainOrders(
            made,
            kept(pairs, of_plain),
            chosen(found.committed, are_committed),
            found.made_rows[are_committed],
            chosen(found.absent, are_absent),
            found.errors,
            self._cents_of,
        )
        with ThreadPoolExecutor(2) as workers:
            numbers, lines = workers.submit(plain.numbers), workers.submit(plain.lines)
            others += self._again(np.concatenate(places), self.attempts, self.read_attempt)
            other_rows += self._again(rows.places[~are_plain], self.orders, self.read_row)
        return Sieve(numbers.result(), lines.result(), others, other_rows)

    def _again(
        self, places: Numbers, layout: Layout, read: Callable[[Sequence[str]], RecordT]
    ) -> Iterator[RecordT]:
        """Read lines once more, of which only numbers were kept."""
        return map(read, layout.lines_at(places.tolist()))

    # --- rows ---

    def _read_rows(self) -> tuple[TableRows, list[OrderRow]]:
        spans = self.orders.spans()
        gathering = Gathering[FoundRows](len(spans))
        others: list[OrderRow] = []
        for part, further in in_halves(self._rows_of, spans):
            gathering.add(part)
            others += map(self.read_row, further)
        found = gathering.arrays()
        if (found.rows.ids[1:] < found.rows.ids[:-1]).any():
            found = chosen(found, np.argsort(found.rows.ids))
        rows = found.rows
        with ThreadPoolExecutor(2) as workers:
            by_attempt, by_key = workers.map(Index.of, (found.attempts, found.keys))
        are_single = ~are_beside_equals(rows.ids)
        for index in (by_attempt, by_key):
            are_single[index.repeated()] = False
        return TableRows(rows, are_single, by_attempt, by_key, Texts(self.orders.path)), others

    def _rows_of(self, span: tuple[int, int]) -> tuple[FoundRows, list[list[str]]]:
        block = self.orders.block(*span)
        ids, products, quantities = map(block.wholes, ("id", "product_id", "quantity"))
        created, committed = map(block.times, ("created_at", "committed_at"))
        total = block.money("total")
        are_ours = block.are_ids("order_key") & block.are_ids("attempt_id")
        are_ours &= ids.are_ours & created.are_ours & total.are_ours
        are_ours &= committed.are_ours | block.are("committed_at", b"")
        are_ours &= _are_goods(products, quantities)
        goods = (np.where(are_ours, each.values, 0) for each in (products, quantities))
        are_ours &= total.values == self._cents_of(*goods)
        lines = np.flatnonzero(are_ours)
        rows = RowCells(
            ids=ids.values[lines],
            products=products.values[lines].astype(np.int32),
            quantities=quantities.values[lines].astype(np.int32),
            created=created.values[lines],
            committed=np.where(committed.are_ours, committed.values, NO_TIME)[lines],
            places=block.places()[lines],
            attempts=block.distances("attempt_id", lines),
            keys=block.distances("order_key", lines),
        )
        marks = (hashed(block.ids(column, lines)) for column in ("attempt_id", "order_key"))
        others = _others(block, are_ours)
        key = self.orders.columns.index("order_key")
        if any(len(cells) > key and not cells[key] for cells in others):
            message = "a row without a key may be any order's"
            raise ValueError(message)
        return FoundRows(rows, *marks), others

    def _cents_of(self, products: Numbers, quantities: Numbers) -> Numbers:
        """Return what goods should cost, below 0 where that is not known."""
        goods = products * _MOST_GOODS + quantities
        kinds = np.unique(goods)
        cents = np.array([self._expected(each) for each in kinds.tolist()], np.int64)
        return cents[np.searchsorted(kinds, goods)]

    def _expected(self, goods: int) -> int:
        if goods not in self.cents:
            total = self.prices.total(*divmod(goods, _MOST_GOODS))
            cents = int((total * _CENTS).to_integral_value()) if total is not None else -1
            # By the very rule of the exact judging, which takes no two of our amounts for the same.
            self.cents[goods] = cents if is_same_money(Decimal(cents) / _CENTS, total) else -1
        return self.cents[goods]

    # --- attempts ---

    def _read_attempts(self, made: TableRows) -> _Tried:
        numbers: dict[bytes, int] = {}
        spans = self.attempts.spans()
        pairs, still_open = Gathering[Pairs](len(spans)), Gathering[Open](len(spans))
        others: list[Attempt] = []
        last: dict[bytes, _Last] = {}
        found = 0
        work = partial(self._attempts_of, made)
        for part in in_halves(work, spans):
            errors = [numbers.setdefault(each, len(numbers)) for each in part.errors]
            pairs.add(part.pairs)
            still_open.add(part.open._replace(errors=np.array(errors, np.int32)))
            others += map(self.read_attempt, part.others)
            for server, order in part.last.items():
                last[server] = max(order, last.get(server, order))
            found += len(part.pairs.rows)
            if len(others) > found + _FEW:
                message = "most attempts are to be looked at one by one"
                raise ValueError(message)
        unsettled = still_open.arrays()
        are_committed, made_rows, are_unknown = _made_by(unsettled, made)
        places = unsettled.places[~(are_committed | are_unknown)]
        others += self._again(places, self.attempts, self.read_attempt)
        committed, unknown = (chosen(unsettled, each) for each in (are_committed, are_unknown))
        rows = [each.row for each in last.values()]
        return _Tried(pairs.arrays(), committed, made_rows, unknown, [*numbers], rows, others)

    def _attempts_of(self, made: TableRows, span: tuple[int, int]) -> _Part:
        block = self.attempts.block(*span)
        lines = self._lines_of(block)
        told, rows = _pairs_of(block, lines, made)
        pairs = Pairs(
            rows=rows.astype(np.int32),
            due=lines.due[told],
            sent=lines.sent[told],
            ended=lines.ended[told],
            http=lines.http.values[told].astype(np.int16),
            places=block.places()[told],
            traces=self._traces_of(block, told),
        )
        are_found = np.zeros(len(block), np.bool_)
        are_found[told] = True
        unknown, errors = self._open_of(block, lines, np.flatnonzero(~are_found))
        are_found[unknown] = True
        still_open = Open(
            orders=_orders_of(block, lines, unknown),
            due=lines.due[unknown],
            sent=lines.sent[unknown],
            ended=lines.ended[unknown],
            http=lines.http.values[unknown].astype(np.int16),
            errors=np.zeros(len(unknown), np.int32),
            places=block.places()[unknown],
        )
        last = _last_of(block, lines, told, rows) if self.question.has_log else {}
        others = _others(block, are_found)
        return _Part(pairs, still_open, errors, last, others)

    def _lines_of(self, block: Block) -> _Lines:
        products, quantities = map(block.wholes, ("product_id", "quantity"))
        due, sent, ended = map(block.times, ("due_at", "sent_at", "ended_at"))
        are_ours = block.are_ids("order_key") & block.are_ids("attempt_id")
        are_ours &= _are_goods(products, quantities)
        are_ours &= sent.are_ours & ended.are_ours & (ended.values >= sent.values)
        are_ours &= due.are_ours | block.are("due_at", b"")
        are_ours &= block.are("attempt_no", b"1")
        if "retry_of" in self.attempts.columns:
            are_ours &= block.are("retry_of", b"")
        if (at := self.question.fault_at) is not None:
            are_ours &= (sent.values > at) | (ended.values <= at)
        if self.question.has_log:
            are_ours &= block.are_traces("trace_id") | block.are("trace_id", b"")
        return _Lines(
            are_ours=are_ours,
            products=products.values,
            quantities=quantities.values,
            due=np.where(due.are_ours, due.values, NO_TIME),
            sent=sent.values,
            ended=ended.values,
            http=block.wholes("http_status"),
        )

    def _traces_of(self, block: Block, lines: Numbers) -> NDArray[np.unsignedinteger]:
        if not self.question.has_log:
            return np.zeros(len(lines), np.uint8)  # there may be millions
        traces = hashed(block.roots("trace_id", lines))
        # An attempt without a trace, as some of ours are, shares it with none.
        are_untraced = block.are("trace_id", b"")[lines]
        return np.where(are_untraced, hashed(block.ids("attempt_id", lines)), traces)

    def _open_of(self, block: Block, lines: _Lines, others: Numbers) -> tuple[Numbers, list[bytes]]:
        """Return which attempts, of others than pairs, are open, and what went wrong with each."""
        if self.question.has_log or not self.question.may_be_absent:
            return np.zeros(0, np.int64), []
        part, http = block.part(others), lines.http.chosen(others)
        found = others[
            lines.are_ours[others]
            & part.are("outcome", b"indeterminate")
            & (part.are("order_id", b"") | part.wholes("order_id").are_ours)
            & (http.are_within(*STATUSES) | part.are("http_status", b""))
        ]
        texts = block.texts("error", found)
        are_plain = [each not in _CUT_OFF and _ERROR.fullmatch(each) is not None for each in texts]
        return found[are_plain], [*compress(texts, are_plain)]


def _others(block: Block, are_found: Booleans) -> list[list[str]]:
    """Return the cells of the other lines."""
    return [*block.odd, *block.cells(np.flatnonzero(~are_found))]


def _are_goods(products: Cells, quantities: Cells) -> Booleans:
    are_small = (products.values < _MOST_GOODS) & (quantities.values < _MOST_GOODS)
    return products.are_ours & quantities.are_ours & are_small


def _orders_of(block: Block, lines: _Lines, which: Numbers) -> Ordered:
    attempts, keys = (block.ids(column, which) for column in ("attempt_id", "order_key"))
    return Ordered(attempts, keys, lines.products[which], lines.quantities[which])


def _pairs_of(block: Block, lines: _Lines, made: TableRows) -> tuple[Numbers, Numbers]:
    """Return the lines of acknowledged attempts, and the numbers of the rows that are theirs."""
    rows = made.rows
    order_ids = block.wholes("order_id")
    told = np.flatnonzero(
        lines.are_ours
        & block.are("outcome", b"acknowledged")
        & block.are("error", b"")
        & order_ids.are_ours
        & lines.http.are_within(*_SUCCESSES)
    )
    wanted = order_ids.values[told]
    # Replies come nearly in the order of ids: most of the rows need not be searched.
    near = np.searchsorted(rows.ids, [wanted.min(initial=0), wanted.max(initial=0)])
    found = np.searchsorted(rows.ids[near[0] : near[1] + 1], wanted) + near[0]
    is_there = found < len(rows.ids)
    told, wanted, found = told[is_there], wanted[is_there], found[is_there]
    are_pairs = made.are_of(found, _orders_of(block, lines, told)) & (rows.ids[found] == wanted)
    return told[are_pairs], found[are_pairs]


def _made_by(attempts: Open, made: TableRows) -> tuple[Booleans, Numbers, Booleans]:
    """Return which attempts made rows as they should, these rows, and whom no row knows."""
    orders = attempts.orders
    rows = made.by_attempt.find(orders.attempts)
    are_unknown = (rows < 0) & (made.by_key.find(orders.keys) < 0)
    are_committed = rows >= 0
    known = np.flatnonzero(are_committed)
    for low in range(0, len(known), _FAR_APART):
        which = known[low : low + _FAR_APART]
        are_committed[which] = made.are_of(rows[which], chosen(orders, which))
        made.texts.let_go()
    return are_committed, rows[are_committed], are_unknown


def _are_first(sent: Numbers) -> Booleans:
    """Which attempts, of those of whom stories are told, are so if all are."""
    if len(sent) <= FIRST_TOLD:
        return np.ones(len(sent), np.bool_)
    are_first: Booleans = sent <= np.partition(sent, FIRST_TOLD - 1)[FIRST_TOLD - 1]
    return are_first


def _are_traced(pairs: Pairs, are_plain: Booleans, others: Sequence[Attempt]) -> Booleans:
    """Which pairs share a trace with an attempt of which the log may tell, as far as hashes tell.

    The log's line of that one would be theirs as well.
    """
    roots = find_ids(f"={trace_root(each.trace_id)}" for each in others)
    return np.isin(pairs.traces, np.concatenate([hashed(roots), pairs.traces[~are_plain]]))


def _last_of(block: Block, lines: _Lines, told: Numbers, rows: Numbers) -> dict[bytes, _Last]:
    """Return the last order that each server answered, in the order of sending and then of ids."""
    sent = lines.sent[told]
    order = np.lexsort((*in_order_of(block.ids("attempt_id", told)), sent))
    told, rows, sent = told[order], rows[order], sent[order]
    ids = block.texts("attempt_id", told)
    servers = block.texts("served_by", told)
    found = map(_Last, sent.tolist(), ids, rows.tolist())
    last = dict(zip(servers, found, strict=True))
    last.pop(b"", None)
    return last


@dataclass(frozen=True, slots=True)
class _Named:
    """The ids that attempts and rows bear or name that are looked at one by one."""

    attempts: Ids
    keys: Ids
    order_ids: Numbers

    @classmethod
    def of(cls, attempts: Sequence[Attempt], rows: Sequence[OrderRow]) -> "_Named":
        """Collect them; an id that is spelled otherwise than ours is none of ours."""
        found: list[Attempt | OrderRow] = [*attempts, *rows]
        tried = (each.retry_of for each in attempts if each.retry_of)
        order_ids = [each.order_id for each in attempts if each.order_id is not None]
        order_ids += (each.id for each in rows)
        return cls(
            find_ids(chain((each.attempt_id for each in found), tried)),
            # The order of an attempt without a key is named too: a row may bear that name as a key.
            find_ids(chain(map(order_of, attempts), (each.order_key for each in rows))),
            np.array([each for each in order_ids if 0 <= each < _MOST_ID], np.int64),
        )

    def rows_of(self, made: TableRows) -> Numbers:
        """Return the numbers of the rows that bear any of them, or may."""
        ids = made.rows.ids
        at = np.searchsorted(ids, self.order_ids)
        is_there = at < len(ids)
        at, wanted = at[is_there], self.order_ids[is_there]
        borne = (made.by_attempt.find(self.attempts), made.by_key.find(self.keys))
        return np.concatenate([at[ids[at] == wanted], *(each[each >= 0] for each in borne)])

    def are_new(self, attempts: Open) -> Booleans:
        """Which attempts share their ids neither with these nor with each other."""
        orders = attempts.orders
        return _are_alone(orders.attempts, self.attempts) & _are_alone(orders.keys, self.keys)


def _are_alone(ids: Ids, others: Ids) -> Booleans:
    hashes = hashed(ids)
    ordered = np.sort(np.concatenate([hashes, hashed(others)]))
    return ~np.isin(hashes, ordered[are_beside_equals(ordered)])
