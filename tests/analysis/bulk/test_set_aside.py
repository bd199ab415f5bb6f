"""Setting orders aside changes not one byte of what is found, whatever is in the files."""

import fcntl
import io
import os
import random
import tempfile
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from analysis.bulk.duckdb_engine import _DuckDb, in_duckdb
from analysis.bulk.engine import EngineFailed
from analysis.bulk.statements import DUCKDB
from analysis.closing.close import add_parquet
from analysis.evidence.errors import EvidenceError, UsageError
from analysis.evidence.records import Attempt, OrderRow, Outcome, Verdict
from analysis.evidence.run_directory import RECONCILIATION_FILE, SUMMARY_FILE, RunDirectory
from analysis.evidence.tables import ATTEMPTS, ORDERS, PRODUCTS
from analysis.judging.finding_records import Method
from analysis.judging.undisputed import NONE_UNDISPUTED, Undisputed
from analysis.terminal.run_result import render
from analysis.verdict.judge_run import judge_run
from infra.lab.balancer.access_log import alb_line
from tests.analysis.histories import (
    NOON,
    PRICES,
    SECOND,
    SETTLED,
    attempt,
    evidence,
    products_after,
    row,
    store,
)
from tests.examples import examples
from tests.infra.lab.balancer.test_access_log import ANSWERED

NEVER = 1 << 62
FAULT = {
    "experiment_id": "EXP1",
    "action": "aws:ec2:stop-instances",
    "targets": ["i-1"],
    "started_at": "2026-11-23T12:00:30.000000Z",
    "ended_at": None,
}
Change = Callable[[random.Random, "History"], object]


class History:
    """Attempts and rows of a run in the ids that we really use."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.attempts: list[Attempt] = []
        self.rows: list[OrderRow] = []

    def id(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def order(self, outcome: Outcome, *, has_row: bool, **changes: Any) -> Attempt:
        """Add an attempt, and the row that it made."""
        chance = self.chance
        sent_at = NOON + chance.randrange(60) * SECOND + chance.randrange(3) * 250_000
        number = 100 + len(self.rows)
        is_told = outcome is Outcome.ACKNOWLEDGED
        made = attempt(
            self.id(),
            outcome,
            **{
                "order_key": self.id(),
                "product_id": chance.randint(1, 2),
                "quantity": chance.randint(1, 3),
                "due_at": chance.choice([None, sent_at - 1500]),
                "sent_at": sent_at,
                "ended_at": sent_at + chance.choice([0, 1500, SECOND]),
                "order_id": number if is_told else None,
                "http_status": 201 if is_told else chance.choice([502, None, 504]),
                "error": "" if is_told else chance.choice(["", "timeout", "in_flight_at_stop"]),
                "served_by": chance.choice(["", "i-1", "i-2"]),
                **changes,
            },
        )
        self.attempts.append(made)
        if has_row:
            committed_at = chance.choice([None, sent_at + 1000, sent_at + SECOND])
            self.rows.append(row(number, made, committed_at=committed_at))
        return made


def _some(chance: random.Random, records: list[Any], **changes: Any) -> None:
    """Change one record, if there is one."""
    if records:
        place = chance.randrange(len(records))
        records[place] = replace(records[place], **changes)


def _retry(chance: random.Random, history: History, *, is_keyed: bool) -> None:
    if not history.attempts:
        return
    first = chance.choice(history.attempts)
    key = first.order_key if is_keyed else history.id()
    again = replace(first, attempt_id=history.id(), order_key=key, attempt_no=2)
    history.attempts.append(replace(again, retry_of=first.attempt_id, outcome=first.outcome))


def _copy_row(chance: random.Random, history: History, **changes: Any) -> None:
    if history.rows:
        history.rows.append(replace(chance.choice(history.rows), **changes))


def _lose_row(chance: random.Random, history: History) -> None:
    if history.rows:
        history.rows.pop(chance.randrange(len(history.rows)))


def _copy_attempt(chance: random.Random, history: History, **changes: Any) -> None:
    if history.attempts:
        history.attempts.append(replace(chance.choice(history.attempts), **changes))


def _share_a_trace(chance: random.Random, history: History) -> None:
    for _ in range(2):
        _some(chance, history.attempts, trace_id=ANSWERED["trace_id"])


def _answered(chance: random.Random, history: History, outcome: Outcome, **said: Any) -> None:
    """Some orders answered with a success that proves less than it seems to."""
    for _ in range(chance.randint(1, 3)):
        history.order(outcome, has_row=chance.random() < 0.5, error="", **said)


CHANGES: dict[str, Change] = {
    "a 202": lambda chance, history: _answered(
        *(chance, history, Outcome.INDETERMINATE),
        http_status=202,
        order_id=chance.choice([None, 100, 99_999]),
    ),
    "a success that older runs took for more": lambda chance, history: _answered(
        chance, history, Outcome.ACKNOWLEDGED, http_status=chance.choice([202, 206, 207])
    ),
    "an order named by a text": lambda chance, history: history.order(
        Outcome.INDETERMINATE,
        has_row=chance.random() < 0.5,
        http_status=201,
        error="bad_reply: order_id is a string instead of a whole number",
    ),
    "an id given out again": lambda chance, history: history.order(
        Outcome.ACKNOWLEDGED, has_row=False, order_id=chance.randint(100, 104)
    ),
    "a row is missing": _lose_row,
    "a row is there twice": lambda chance, history: _copy_row(chance, history, id=9000),
    "two rows have one id": lambda chance, history: _copy_row(
        chance, history, order_key=history.id(), attempt_id=history.id()
    ),
    "a stranger's row without keys": lambda _, history: history.rows.append(row(9001)),
    "a stranger's row with a key": lambda _, history: history.rows.append(
        row(9002, order_key=history.id())
    ),
    "a row of another's attempt": lambda chance, history: _some(
        chance, history.rows, attempt_id=history.id()
    ),
    "a row without its attempt": lambda chance, history: _some(chance, history.rows, attempt_id=""),
    "a row without its order": lambda chance, history: _some(chance, history.rows, order_key=""),
    "other goods": lambda chance, history: _some(chance, history.rows, product_id=2, quantity=1),
    "another total": lambda chance, history: _some(chance, history.rows, total=PRICES[1] * 7),
    "no total": lambda chance, history: _some(chance, history.rows, total=None),
    "a row without a time": lambda chance, history: _some(chance, history.rows, created_at=None),
    "a strange status": lambda chance, history: _some(
        chance, history.rows, status='a "quoted",\r\nstatus\x1f'
    ),
    "rejected and there": lambda _, history: history.order(Outcome.REJECTED, has_row=True),
    "rejected": lambda _, history: history.order(Outcome.REJECTED, has_row=False),
    "never sent": lambda _, history: (
        history.order(Outcome.UNSENT, has_row=False, sent_at=None, ended_at=None, due_at=NOON)
        and None
    ),
    "another order's id": lambda chance, history: _some(
        chance, history.attempts, order_id=chance.randint(100, 104)
    ),
    "no order's id": lambda chance, history: _some(chance, history.attempts, order_id=None),
    "an id of another kind": lambda chance, history: _some(
        chance, history.attempts, attempt_id=chance.choice(["x", "attempt 1", 'a"b', "A" * 36])
    ),
    "an id in capitals": lambda chance, history: _some(
        chance, history.attempts, attempt_id=history.id().upper()
    ),
    "no key": lambda chance, history: _some(chance, history.attempts, order_key=""),
    "a quoted error": lambda chance, history: _some(
        chance, history.attempts, error='said "no, never"'
    ),
    "an unknown end": lambda chance, history: _some(chance, history.attempts, ended_at=None),
    "an end before its beginning": lambda chance, history: _some(
        chance, history.attempts, sent_at=NOON + 100 * SECOND
    ),
    "a wrong clock": lambda chance, history: _some(
        chance, history.rows, created_at=NOON + 3600 * SECOND
    ),
    "another's attempt id": lambda chance, history: _copy_attempt(
        chance, history, order_key=history.id()
    ),
    "the same attempt twice": _copy_attempt,
    "two of one trace": _share_a_trace,
    "tried again with its key": lambda chance, history: _retry(chance, history, is_keyed=True),
    "tried again without": lambda chance, history: _retry(chance, history, is_keyed=False),
}


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Up to 18 orders, and up to three things that went wrong."""
    history = History(random.Random(draw(st.integers(0, 1 << 32))))
    for _ in range(draw(st.integers(0, 9))):
        history.order(Outcome.ACKNOWLEDGED, has_row=True)
    for has_row in draw(st.lists(st.booleans(), max_size=9)):
        history.order(Outcome.INDETERMINATE, has_row=has_row)
    for refused in draw(st.lists(st.sampled_from([Outcome.REJECTED, Outcome.UNSENT]), max_size=4)):
        history.order(refused, has_row=False)
    for name in draw(st.lists(st.sampled_from(sorted(CHANGES)), max_size=3)):
        CHANGES[name](history.chance, history)
    history.chance.shuffle(history.attempts)
    history.chance.shuffle(history.rows)
    return history


def stored(history: History, folder: str, **run: Any) -> RunDirectory:
    directory = store(RunDirectory(folder), evidence(history.attempts, history.rows))
    directory.update_run(**run)
    return directory


def results(
    directory: RunDirectory, *, set_aside_above: int, is_shown: bool = False
) -> tuple[object, Undisputed]:
    """What judging wrote and, on request, showed, or what was wrong; and what was set aside.

    To show it takes longer than all else.
    """
    try:
        judgement = judge_run(directory, set_aside_above=set_aside_above)
    except EvidenceError as error:
        return str(error), NONE_UNDISPUTED
    files = [directory.path / name for name in (SUMMARY_FILE, RECONCILIATION_FILE)]
    screen = io.StringIO()
    if is_shown:
        render(judgement, Console(file=screen, width=200), directory=directory.path)
    found = [screen.getvalue(), *(each.read_bytes() for each in files)]
    return found, judgement.findings.undisputed


@given(
    history=histories(),
    settled=st.booleans(),
    fault=st.sampled_from([None, FAULT]),
    has_log=st.booleans(),
    is_parquet=st.booleans(),
    is_shown=st.sampled_from([True, False, False, False]),
    threads=st.sampled_from([1, 2, 4]),
)
@examples(60)
def test_no_byte_of_the_results_changes(
    history: History,
    settled: bool,
    fault: dict[str, object] | None,
    has_log: bool,
    is_parquet: bool,
    is_shown: bool,
    threads: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.evidence.sql.duck._THREADS", threads)
        settle = {**SETTLED.as_json(), "settled": settled}
        directory = stored(history, folder, settle=settle, fault=fault)
        if has_log:
            line = alb_line(ANSWERED, target_group_arn="arn:tg")
            (directory.path / "elb_access.log").write_text(line, encoding="utf-8")
        exactly, _ = results(directory, set_aside_above=NEVER, is_shown=is_shown)
        if is_parquet:
            add_parquet(directory)
        quickly, _ = results(directory, set_aside_above=0, is_shown=is_shown)
        assert quickly == exactly


@given(history=histories(), hashes=st.integers(1, 40))
@examples(30)
def test_ids_that_share_a_hash_change_nothing(history: History, hashes: int) -> None:
    few = replace(DUCKDB, hash=f"CASE WHEN {{0}} IS NOT NULL THEN hash({{0}}) % {hashes} END")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        directory = stored(history, folder)
        exactly, _ = results(directory, set_aside_above=NEVER)
        patch.setattr("analysis.bulk.duckdb_engine._DuckDb.dialect", few)
        quickly, _ = results(directory, set_aside_above=0)
        assert quickly == exactly


def respell(path: Path, line: int, column: int, text: bytes) -> None:
    """Have one cell of a CSV file hold something else."""
    lines = path.read_bytes().split(b"\r\n")
    cells = lines[line].split(b",")
    cells[column] = text
    lines[line] = b",".join(cells)
    path.write_bytes(b"\r\n".join(lines))


HOSTILE = [
    *("", " ", "0", "-1", "1.5", "1e3", "+7", " 8", "007", "99999999999999999999", "abc", "NaN"),
    *("acknowledged", "\x00", "\x01", "\x02\x03", "=1+1", "é", "2026-11-23T12:00:00Z", '"', "a,b"),
    *("2026-11-23 12:00:00.000000Z", "2026-11-23T12:00:00.000000+01:00", "\n", '"a"', "x" * 70_000),
]


@given(history=histories(), data=st.data())
@examples(40)
def test_whatever_a_cell_holds_is_taken_or_refused_alike(
    history: History, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = stored(history, folder)
        path = directory.path / data.draw(
            st.sampled_from([ATTEMPTS.file_name, ORDERS.file_name]), label="file"
        )
        lines = path.read_bytes().split(b"\r\n")
        place = data.draw(st.integers(0, len(lines) - 1), label="line")
        cells = lines[place].split(b",")
        cells[data.draw(st.integers(0, len(cells) - 1), label="cell")] = data.draw(
            st.sampled_from([*(each.encode() for each in HOSTILE), b"\xff", b"a,b,c"]), label="text"
        )
        lines[place] = b",".join(cells)
        path.write_bytes(b"\r\n".join(lines))
        exactly, _ = results(directory, set_aside_above=NEVER)
        quickly, _ = results(directory, set_aside_above=0)
        assert quickly == exactly


def honest(count: int, *, absent: int = 0, committed: int = 0) -> History:
    history = History(random.Random(count))
    for _ in range(count):
        history.order(Outcome.ACKNOWLEDGED, has_row=True)
    for has_row in [False] * absent + [True] * committed:
        history.order(Outcome.INDETERMINATE, has_row=has_row, error="timeout")
    return history


def judged_alike(directory: RunDirectory, *, is_shown: bool = False) -> Undisputed:
    exactly, _ = results(directory, set_aside_above=NEVER, is_shown=is_shown)
    found, undisputed = results(directory, set_aside_above=0, is_shown=is_shown)
    assert found == exactly
    return undisputed


def test_orders_as_they_should_be_are_set_aside(tmp_path: Path) -> None:
    history = honest(20, absent=3)
    rows = [in_doubt(history, seconds) for seconds in range(10)]
    undisputed = judged_alike(stored(history, str(tmp_path)), is_shown=True)
    assert (undisputed.count(Verdict.CONFIRMED), undisputed.count(Verdict.ABSENT)) == (20, 3)
    # The stories of the first three are told.
    assert undisputed.count(Verdict.COMMITTED) == 7
    assert undisputed.hidden == (
        sum(each.quantity or 0 for each in rows[3:]),
        sum((each.total or 0 for each in rows[3:]), Decimal(0)),
    )


def in_doubt(history: History, seconds: int) -> OrderRow:
    """Add an attempt without an answer that made a row, sent so many seconds after the others."""
    at = NOON + (100 + seconds) * SECOND
    goods = {"product_id": 1, "quantity": 2}
    times = {"sent_at": at, "ended_at": at}
    history.order(Outcome.INDETERMINATE, has_row=True, error="timeout", **goods, **times)
    return history.rows[-1]


def test_orders_in_doubt_that_cost_nothing_are_worth_what_they_are_in_small_runs(
    tmp_path: Path,
) -> None:
    history = honest(20)
    for seconds in range(10):
        in_doubt(history, seconds)
    history.rows = [replace(each, total=Decimal("0.00")) for each in history.rows]
    directory = stored(history, str(tmp_path))
    free = [replace(each, price=Decimal("0.00")) for each in products_after(history.rows)]
    with directory.new_table(PRODUCTS) as put:
        for each in free:
            put(each)
    assert judged_alike(directory).count(Verdict.COMMITTED) == 7


def test_an_absurd_total_takes_nothing_from_what_the_other_orders_in_doubt_are_worth(
    tmp_path: Path,
) -> None:
    history = honest(20)
    for seconds in range(10):
        in_doubt(history, seconds)
    history.rows[-10] = replace(history.rows[-10], total=Decimal("1E+29"))
    assert judged_alike(stored(history, str(tmp_path))).count(Verdict.COMMITTED) == 6


def test_the_stories_told_are_of_the_first_that_are_committed_in_the_end(tmp_path: Path) -> None:
    history = honest(20)
    for seconds in range(10):
        in_doubt(history, seconds)
    # Two attempts bear the id of the first one's row, and a third may be in a line that is torn.
    history.attempts.append(replace(history.attempts[-10], order_key=history.id()))
    directory = stored(history, str(tmp_path), ledger={"torn_lines": 1})
    assert judged_alike(directory).count(Verdict.COMMITTED) == 6


def _named_by_another(history: History) -> None:
    history.attempts[0] = replace(history.attempts[0], order_id=history.rows[-1].id)


def _tried_again(history: History) -> None:
    last = history.attempts[-1]
    again = replace(last, attempt_id=history.id(), attempt_no=2, retry_of=last.attempt_id)
    history.attempts.append(again)


@pytest.mark.parametrize(
    "spoil",
    [
        _named_by_another,
        _tried_again,
        lambda history: history.rows.append(replace(history.rows[-1], id=9000)),
        lambda history: history.rows.append(
            replace(history.rows[-1], id=9000, attempt_id=history.id())
        ),
        lambda history: history.rows.append(
            replace(history.rows[-1], id=9000, order_key=history.id())
        ),
        lambda history: _change_row(history, order_key=history.id()),
        lambda history: _change_row(history, attempt_id=history.id()),
        lambda history: _change_row(history, product_id=2, total=2 * PRICES[2]),
        lambda history: _change_row(history, quantity=9, total=9 * PRICES[1]),
        lambda history: _change_row(history, total=PRICES[1] * 7),
    ],
    ids=[
        *("its row is named to another", "it is tried again", "its row is there twice"),
        *("another attempt's row has its key", "another order's row has its id"),
        *("its row has another's key", "its row has another's id"),
        *("its row is of another product", "its row is of more pieces", "it costs more"),
    ],
)
def test_an_order_in_doubt_that_is_not_as_it_should_be_is_looked_at_by_itself(
    spoil: Callable[[History], object], tmp_path: Path
) -> None:
    history = honest(20)
    for seconds in range(10):
        in_doubt(history, seconds)
    spoil(history)
    assert judged_alike(stored(history, str(tmp_path))).count(Verdict.COMMITTED) == 6


def _change_row(history: History, **changes: Any) -> None:
    history.rows[-1] = replace(history.rows[-1], **changes)


OF_THE_WHOLE = [
    "a stranger's row without keys",
    "a row without its order",
]


def _damages() -> Sequence[str]:
    return sorted(set(CHANGES) - set(OF_THE_WHOLE))


@pytest.mark.parametrize("name", _damages())
def test_one_order_that_is_not_keeps_no_other_from_it(name: str, tmp_path: Path) -> None:
    history = honest(20)
    CHANGES[name](random.Random(7), history)
    undisputed = judged_alike(stored(history, str(tmp_path)))
    assert undisputed.count(Verdict.CONFIRMED) >= 16


@pytest.mark.parametrize("name", OF_THE_WHOLE)
def test_a_run_that_only_the_whole_can_tell_of_is_judged_as_a_whole(
    name: str, tmp_path: Path
) -> None:
    history = honest(5)
    CHANGES[name](random.Random(7), history)
    assert judged_alike(stored(history, str(tmp_path))) == NONE_UNDISPUTED


@pytest.mark.parametrize("outcome", [Outcome.ACKNOWLEDGED, Outcome.INDETERMINATE])
def test_a_row_that_two_attempts_made_is_looked_at_with_both(
    outcome: Outcome, tmp_path: Path
) -> None:
    history = honest(20)
    for seconds in range(10):
        in_doubt(history, seconds)
    again = replace(history.attempts[-1], outcome=outcome)
    if outcome is Outcome.ACKNOWLEDGED:
        again = replace(again, order_id=history.rows[-1].id, http_status=201, error="")
    history.attempts.append(again)
    undisputed = judged_alike(stored(history, str(tmp_path)))
    assert undisputed.count(Verdict.CONFIRMED) == 20
    assert undisputed.count(Verdict.COMMITTED) == 6


def test_orders_in_flight_at_the_fault_are_looked_at_one_by_one(tmp_path: Path) -> None:
    history = honest(5)
    caught = {"sent_at": NOON + 29 * SECOND, "ended_at": NOON + 31 * SECOND}
    history.order(Outcome.ACKNOWLEDGED, has_row=True, due_at=None, **caught)
    directory = stored(history, str(tmp_path), fault=FAULT)
    in_flight = sum(
        (each.sent_at or 0) <= NOON + 30 * SECOND < (each.ended_at or 0)
        for each in history.attempts
    )
    assert judged_alike(directory).count(Verdict.CONFIRMED) == 6 - in_flight


def test_refusals_without_a_row_are_set_aside(tmp_path: Path) -> None:
    history = honest(5)
    for refused in (Outcome.REJECTED, Outcome.UNSENT, Outcome.UNSENT):
        history.order(refused, has_row=False, error="refused")
    history.order(Outcome.REJECTED, has_row=True, error="refused")
    never_sent = {"sent_at": None, "ended_at": None, "due_at": NOON}
    history.order(Outcome.UNSENT, has_row=False, error="refused", **never_sent)
    assert judged_alike(stored(history, str(tmp_path)), is_shown=True).count(Verdict.CLEAN) == 3


def test_judging_leaves_no_scratch_and_clears_that_of_one_that_was_killed(tmp_path: Path) -> None:
    directory = stored(honest(5), str(tmp_path))
    of_killed, of_another = (directory.path / f".judging-{name}" for name in ("killed", "another"))
    for folder in (of_killed, of_another):
        folder.mkdir()
        (folder / "spilled").write_text("rows")
    in_use = os.open(of_another, os.O_RDONLY)
    try:
        fcntl.flock(in_use, fcntl.LOCK_EX)
        results(directory, set_aside_above=0)
    finally:
        os.close(in_use)
    assert [each.name for each in directory.path.glob(".*")] == [of_another.name]


def test_two_may_judge_a_run_at_once(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)

    def use_scratch(_number: int) -> bool:
        with directory.judging_scratch() as folder:
            return folder.exists()

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(use_scratch, range(400)))
    assert [*tmp_path.iterdir()] == []


def test_a_path_that_could_be_a_pattern_is_that_of_one_run(tmp_path: Path) -> None:
    for name, lost in (("run1", 0), ("run[12]", 2)):
        (tmp_path / name).mkdir()
        history = honest(6)
        history.rows = history.rows[lost:]
        stored(history, str(tmp_path / name))
    directory = RunDirectory(tmp_path / "run[12]")
    assert judged_alike(directory).count(Verdict.CONFIRMED) == 4
    add_parquet(directory)
    assert judged_alike(directory).count(Verdict.CONFIRMED) == 4


@pytest.mark.parametrize("is_parquet", [False, True])
@pytest.mark.parametrize("name", [ORDERS.file_name, ATTEMPTS.file_name])
def test_an_id_that_is_spelled_otherwise_is_anothers_all_the_same(
    name: str, is_parquet: bool, tmp_path: Path
) -> None:
    directory = stored(honest(6, committed=1), str(tmp_path))
    columns = [*(ORDERS if name == ORDERS.file_name else ATTEMPTS).columns]
    column = columns.index("id" if name == ORDERS.file_name else "order_id")
    respell(directory.path / name, 6, column, b"0102")
    if is_parquet:
        add_parquet(directory)
    assert judged_alike(directory).count(Verdict.CONFIRMED) >= 3


@pytest.mark.parametrize("price", ["-1", "1e10", "19.99999"])
def test_of_a_product_that_is_listed_twice_the_last_price_counts(
    price: str, tmp_path: Path
) -> None:
    directory = stored(honest(12), str(tmp_path))
    with (directory.path / PRODUCTS.file_name).open("a", newline="") as products:
        products.write(f"1,again,{price},1000,1000\r\n")
    judged_alike(directory)


def test_more_pieces_than_anybody_reckons_with_are_left_to_the_exact_judge(tmp_path: Path) -> None:
    history = honest(6)
    pieces, price = 2**63 - 1, Decimal("999999999.99")
    history.attempts[0] = replace(history.attempts[0], product_id=1, quantity=pieces)
    with localcontext(prec=60):
        total = price * pieces
    history.rows[0] = replace(history.rows[0], product_id=1, quantity=pieces, total=total)
    directory = stored(history, str(tmp_path))
    with directory.new_table(PRODUCTS) as put:
        for each in products_after(history.rows):
            put(replace(each, price=price))
    judged_alike(directory)


def test_an_engine_that_is_not_there_takes_no_results_away(tmp_path: Path) -> None:
    directory = stored(honest(6), str(tmp_path))
    judge_run(directory)

    def connect(_directory: RunDirectory, _scratch: Path) -> NoReturn:
        raise EngineFailed("no engine")

    with pytest.raises(EngineFailed, match="no engine"):
        judge_run(directory, connect=connect)
    assert directory.has(SUMMARY_FILE)
    assert directory.has(RECONCILIATION_FILE)


def test_what_another_engine_cannot_set_aside_is_judged_from_nothing_else(tmp_path: Path) -> None:
    directory = stored(History(random.Random(1)), str(tmp_path))
    with pytest.raises(EvidenceError, match="nothing can be set aside"):
        judge_run(directory, connect=in_duckdb(None))
    with pytest.raises(UsageError, match="leave out --engine"):
        judge_run(directory, connect=in_duckdb(None), method=Method.INFERRED)


@pytest.mark.parametrize("lost", ["kind = 0", "kind = 1", "is_row", "aid % 2 = 0"])
def test_an_engine_that_loses_a_part_on_the_way_is_not_believed(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = honest(20)
    history.rows.pop()
    history.rows.append(row(9002, order_key=history.id(), attempt_id=history.id()))
    directory = stored(history, str(tmp_path))
    judge_run(directory, connect=in_duckdb(None))
    run = _DuckDb.run

    def run_and_lose(engine: _DuckDb, statement: str) -> None:
        run(engine, statement)
        if "CREATE TABLE joined" in statement:
            run(engine, f"DELETE FROM joined WHERE {lost}")

    monkeypatch.setattr(_DuckDb, "run", run_and_lose)
    with pytest.raises(EvidenceError, match=r"the engine knows|nothing can be set aside"):
        judge_run(directory, connect=in_duckdb(None))


def test_memory_that_does_not_suffice_is_one_line(tmp_path: Path) -> None:
    directory = stored(honest(200), str(tmp_path))
    with pytest.raises(EvidenceError, match="allow more by --memory"):
        judge_run(directory, set_aside_above=0, memory="1MB")


def test_no_attempt_is_set_aside_as_absent_where_a_row_may_still_come(tmp_path: Path) -> None:
    settle = {**SETTLED.as_json(), "settled": False}
    directory = stored(honest(5, absent=3), str(tmp_path), settle=settle)
    undisputed = judged_alike(directory)
    assert (undisputed.count(Verdict.CONFIRMED), undisputed.count(Verdict.ABSENT)) == (5, 0)


def test_clocks_that_contradict_each_other_give_the_offset_of_the_most(tmp_path: Path) -> None:
    history = honest(30)
    history.rows = [
        replace(each, created_at=(each.created_at or 0) + shift * SECOND)
        for shift, each in zip([0, 0, 0, 5, 60] * 6, history.rows, strict=True)
    ]
    assert judged_alike(stored(history, str(tmp_path))).count(Verdict.CONFIRMED) == 30


@pytest.mark.parametrize("due_after", [None, 2], ids=["due at no time", "due later than sent"])
def test_orders_that_take_few_microseconds_are_counted_as_others(
    due_after: int | None, tmp_path: Path
) -> None:
    history = honest(0)
    for number in range(30):
        at = NOON + number * SECOND
        due_at = None if due_after is None else at + due_after
        times = {"due_at": due_at, "sent_at": at, "ended_at": at + number % 5}
        history.order(Outcome.ACKNOWLEDGED, has_row=True, **times)
    undisputed = judged_alike(stored(history, str(tmp_path)))
    assert undisputed.count(Verdict.CONFIRMED) == 30
    took = undisputed.from_sent_of_others if due_after is None else undisputed.from_sent_of_due
    assert took == dict.fromkeys(range(5), 6)


def test_an_order_that_shares_a_trace_with_one_in_doubt_is_told_of_by_the_log(
    tmp_path: Path,
) -> None:
    history = honest(20)
    history.attempts = [
        replace(each, trace_id=f"Root=1-{number:08x}-{number:024x}")
        for number, each in enumerate(history.attempts)
    ]
    shared = f"Self=1-0-0;{history.attempts[2].trace_id}"
    history.order(Outcome.INDETERMINATE, has_row=True, trace_id=shared)
    directory = stored(history, str(tmp_path))
    line = alb_line(ANSWERED | {"trace_id": shared}, target_group_arn="arn:tg")
    (directory.path / "elb_access.log").write_text(line, encoding="utf-8")
    assert 16 <= judged_alike(directory).count(Verdict.CONFIRMED) < 20


@pytest.mark.parametrize("trace_id", [f"Root=1-0 {'0' * 30}", f"Root=1-0é{'0' * 30}", "Root=1-0"])
def test_a_trace_of_another_form_is_looked_at_by_itself(trace_id: str, tmp_path: Path) -> None:
    history = honest(20)
    history.attempts[2] = replace(history.attempts[2], trace_id=trace_id)
    history.order(Outcome.INDETERMINATE, has_row=True, trace_id="Root=1-0")
    directory = stored(history, str(tmp_path))
    line = alb_line(ANSWERED | {"trace_id": "Root=1-0"}, target_group_arn="arn:tg")
    (directory.path / "elb_access.log").write_text(line, encoding="utf-8")
    assert judged_alike(directory).count(Verdict.CONFIRMED) > 0


def test_a_key_that_reads_as_the_order_of_an_attempt_without_one_is_that_order(
    tmp_path: Path,
) -> None:
    history = honest(5)
    name = "x" * 28
    key = f"attempt {name}"
    first = history.attempts[0]
    history.attempts[0] = replace(first, order_key=key)
    history.rows[0] = replace(history.rows[0], order_key=key)
    history.attempts.append(replace(first, attempt_id=name, order_key="", order_id=None))
    history.rows.append(replace(history.rows[0], id=9000, attempt_id=name, order_key=history.id()))
    assert judged_alike(stored(history, str(tmp_path))).count(Verdict.CONFIRMED) == 4


def test_a_header_that_ends_twice_names_its_last_column_all_the_same(tmp_path: Path) -> None:
    history = honest(5)
    CHANGES["tried again without"](random.Random(7), history)
    directory = stored(history, str(tmp_path))
    path = directory.path / ATTEMPTS.file_name
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\r\r\n", 1))
    judged_alike(directory)
