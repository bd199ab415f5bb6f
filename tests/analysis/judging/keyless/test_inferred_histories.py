"""Random histories of shops that store no keys, with a known truth, judged from what is left.

The truth is told by one clock, the database's. Load generators have clocks of their own, which
are off by a constant and drift. A history is what they would have recorded.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from analysis.evidence.records import Attempt, OrderRow, Outcome, RunVerdict, Verdict
from analysis.evidence.run_directory import RECONCILIATION_FILE, SUMMARY_FILE, RunDirectory
from analysis.judging.finding_records import Method, Reconciliation
from analysis.verdict.judge_run import judge, judge_run
from tests.analysis.histories import (
    NOON,
    PRICES,
    SECOND,
    attempt,
    evidence,
    findings,
    invariants_of,
    row,
    store,
)
from tests.examples import examples

OFTEN, RANDOM, RARELY = examples(150), examples(60), examples(20)

Clock = Callable[[int], int]


@dataclass
class History:
    """What was recorded, and what is true: the row that each attempt made, if any."""

    attempts: list[Attempt] = field(default_factory=list)
    rows: list[OrderRow] = field(default_factory=list)
    made: dict[str, int | None] = field(default_factory=dict)
    lateness: int = 0
    # How long after its row, by the database's clock, an attempt was answered at the least.
    answered_after: dict[str, int] = field(default_factory=dict)

    @property
    def keyless(self) -> list[OrderRow]:
        return [_bare(each) for each in self.rows]

    @property
    def unnamed(self) -> int:
        """How many rows of the run no reply named."""
        named = {each.order_id for each in self.attempts}
        return len({number for number in self.made.values() if number is not None} - named)


GRAINS = st.sampled_from([1, 1, 1000, SECOND])


@st.composite
def clocks(draw: st.DrawFn) -> dict[str, Clock]:
    """Two load generators' clocks: what they show at a true moment."""

    def clock() -> Clock:
        ahead = draw(st.sampled_from([0, 0, 3600 * SECOND, -2 * SECOND, 1500]))
        drift_ppm = draw(st.integers(-400, 400))
        return lambda at: at + ahead + (at - NOON) * drift_ppm // 1_000_000

    return {"p1": clock(), "p2": clock()}


@st.composite
def histories(draw: st.DrawFn, *, is_blind: bool | None = None) -> History:
    """Up to nine orders, tried up to three times each, in a shop that stores a key or is blind."""
    history = History()
    shown = draw(clocks())
    grain = draw(GRAINS)
    blind = draw(st.booleans()) if is_blind is None else is_blind
    for number in range(draw(st.integers(1, 9))):
        _order(draw, history, f"o{number}", shown, blind=blind)
    history.rows.sort(key=lambda each: (each.created_at or 0, each.attempt_id))
    ids = {each.attempt_id: number for number, each in enumerate(history.rows, 100)}
    by_maker = {each.attempt_id: each for each in history.rows}
    history.made = {each.attempt_id: ids.get(each.attempt_id) for each in history.attempts}
    history.attempts = [
        replace(each, order_id=ids[each.error], error="") if each.error in by_maker else each
        for each in history.attempts
    ]
    history.rows = [
        replace(
            each,
            id=ids[each.attempt_id],
            created_at=((each.created_at or 0) + grain // 2) // grain * grain,
        )
        for each in history.rows
    ]
    return history


def _order(
    draw: st.DrawFn, history: History, key: str, shown: dict[str, Clock], *, blind: bool
) -> None:
    """Add one order's attempts and rows. `error` holds whose row an answer told of, for now."""
    process_id = draw(st.sampled_from(sorted(shown)))
    product_id, quantity = draw(st.sampled_from([(1, 1), (1, 1), (2, 1)]))
    at = NOON + draw(st.integers(0, 200 * SECOND))
    maker, made_at = "", 0
    for number in range(draw(st.integers(1, 3))):
        name = f"{key}-{number}"
        fate = draw(
            st.sampled_from(["answered", "answered", "silent", "silent", "lost", "refused", "dead"])
        )
        ended = at + draw(st.integers(2, 5 * SECOND))
        created = draw(st.integers(at, ended))
        if fate in ("silent", "dead"):
            created += draw(st.sampled_from([0, 0, 30 * SECOND]))
        if fate == "answered" and maker:  # it waits for the row of which it is to tell
            ended = max(ended, made_at + 1)
        arrives = fate in ("answered", "silent") or (fate == "dead" and draw(st.booleans()))
        outcome = {"answered": Outcome.ACKNOWLEDGED, "refused": Outcome.REJECTED}
        one = attempt(
            name,
            outcome.get(fate, Outcome.INDETERMINATE),
            order_key=key,
            attempt_no=number + 1,
            process_id=process_id,
            product_id=product_id,
            quantity=quantity,
            sent_at=shown[process_id](at),
            ended_at=None if fate == "dead" else shown[process_id](ended),
        )
        if arrives and (blind or not maker):
            maker, made_at = name, created
            history.rows.append(row(0, one, created_at=created))
            history.lateness = max(history.lateness, created - ended)
            history.answered_after[name] = max(0, ended - created)
        history.attempts.append(replace(one, error=maker if fate == "answered" else ""))
        at = ended + draw(st.integers(1, 3 * SECOND))


def judged(history: History, rows: list[OrderRow], **how: Any) -> dict[str, Verdict | None]:
    found = findings(history.attempts, rows, method=Method.INFERRED, **how)
    return {each.attempt.attempt_id: each.verdict for each in found.attempts}


def assert_true(history: History, verdicts: dict[str, Verdict | None]) -> None:
    """`committed` and `absent` are never wrong, nor is anything that was told or refused."""
    for name, verdict in verdicts.items():
        assert verdict is not Verdict.COMMITTED or history.made[name] is not None
        assert verdict is not Verdict.ABSENT or history.made[name] is None
        assert verdict not in (Verdict.LOST, Verdict.ALTERED, Verdict.CONTRADICTED)


@OFTEN
@given(histories())
def test_committed_and_absent_are_never_wrong_and_the_number_is_exact(history: History) -> None:
    found = findings(history.attempts, history.keyless)
    assert_true(history, {each.attempt.attempt_id: each.verdict for each in found.attempts})
    assert found.count(Verdict.UNEXPECTED) == 0
    if found.method is Method.INFERRED:
        assert found.committed_total in (None, history.unnamed)


@OFTEN
@given(histories(is_blind=True), st.data())
def test_a_double_of_an_order_that_was_placed_makes_no_other_committed(
    history: History, data: st.DataObject
) -> None:
    # Whoever was told of an order has ordered twice: a proxy sent the request again, say.
    told = [each for each in history.attempts if each.outcome is Outcome.ACKNOWLEDGED]
    by_id = {each.id: each for each in history.rows}
    own = [each for each in told if history.made[each.attempt_id] == each.order_id]
    assume(own)
    doubles = []
    for number, each in enumerate(
        data.draw(st.lists(st.sampled_from(own), min_size=1, max_size=3))
    ):
        first = by_id[each.order_id or 0]
        # By the database's clock, between the first row and the moment of the answer.
        spare = data.draw(st.integers(0, history.answered_after[each.attempt_id]))
        doubles.append(replace(first, id=900 + number, created_at=(first.created_at or 0) + spare))
    found = findings(history.attempts, history.keyless + [_bare(each) for each in doubles])
    assert_true(history, {each.attempt.attempt_id: each.verdict for each in found.attempts})
    if found.committed_total is not None:
        assert found.count(Verdict.UNEXPECTED) or found.committed_total == history.unnamed


def _bare(row: OrderRow) -> OrderRow:
    return replace(row, attempt_id="", order_key="")


@RANDOM
@given(histories())
def test_a_row_that_is_said_to_be_an_attempts_is_its(history: History) -> None:
    for each in findings(history.attempts, history.keyless).attempts:
        if each.verdict is Verdict.COMMITTED and each.row is not None:
            assert each.row.id == history.made[each.attempt.attempt_id]


@OFTEN
@given(histories(), st.integers(0, 3 * SECOND))
def test_a_late_window_that_is_long_enough_makes_nothing_wrong(
    history: History, spare: int
) -> None:
    # A drifting clock shows the seconds since the end a little short.
    late_window_s = (history.lateness * 1.001 + spare) / SECOND
    found = findings(history.attempts, history.keyless, late_window_s=late_window_s)
    assert_true(history, {each.attempt.attempt_id: each.verdict for each in found.attempts})
    assert found.count(Verdict.UNEXPECTED) == found.late_rows == 0


@RANDOM
@given(histories())
def test_a_late_window_without_end_is_none(history: History) -> None:
    endless = findings(history.attempts, history.keyless, late_window_s=float("inf"))
    assert endless == findings(history.attempts, history.keyless)


@RANDOM
@given(histories())
def test_a_narrower_window_never_makes_a_row_too_late_for_proof(history: History) -> None:
    case = evidence(history.attempts, history.keyless)
    found = {each.id: each.verdict for each in judge(case, late_window_s=0).invariants}
    assert found["nothing-unexpected"] is not RunVerdict.BROKEN


@OFTEN
@given(histories(), st.data())
def test_with_strangers_rows_absent_is_still_right_and_no_row_too_many_is_accused(
    history: History, data: st.DataObject
) -> None:
    strangers = [
        row(500 + number, created_at=NOON + data.draw(st.integers(0, 250 * SECOND)))
        for number in range(data.draw(st.integers(1, 4)))
    ]
    found = findings(history.attempts, history.keyless + strangers)
    for each in found.attempts:
        if each.verdict is Verdict.ABSENT:
            assert history.made[each.attempt.attempt_id] is None
    assert found.count(Verdict.UNEXPECTED) <= len(strangers)
    if found.count(Verdict.UNEXPECTED):  # it is plain that there are strangers
        assert_true(history, {each.attempt.attempt_id: each.verdict for each in found.attempts})
        assert found.committed_total is None
    elif found.committed_total is not None:
        assert found.committed_total == history.unnamed + len(strangers)


@OFTEN
@given(histories(), st.booleans(), st.booleans())
def test_on_evidence_with_holes_what_cannot_be_known_is_not_claimed(
    history: History, settled: bool, is_whole: bool
) -> None:
    found = judged(history, history.keyless, settled=settled, is_whole=is_whole)
    assert_true(history, found)
    assert settled or Verdict.ABSENT not in found.values()
    assert is_whole or Verdict.COMMITTED not in found.values()


@RANDOM
@given(histories(), st.data())
def test_an_attempt_that_was_not_recorded_makes_no_other_committed(
    history: History, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(history.attempts))
    left = replace_attempts(history, [each for each in history.attempts if each is not gone])
    for name, verdict in judged(left, left.keyless, is_whole=False).items():
        assert verdict is not Verdict.COMMITTED
        assert verdict is not Verdict.ABSENT or history.made[name] is None


def replace_attempts(history: History, attempts: list[Attempt]) -> History:
    return History(attempts, history.rows, history.made, history.lateness)


@OFTEN
@given(histories(), st.data())
def test_replies_that_name_no_row_or_a_wrong_one_make_no_other_committed(
    history: History, data: st.DataObject
) -> None:
    """A reply may name an id that does not exist, one of another product, or none."""
    misled = []
    for each in history.attempts:
        others = [one.id for one in history.rows if one.product_id != each.product_id]
        told = data.draw(st.sampled_from(["right", "right", "nowhere", "none", "other"]))
        wrong = {"nowhere": 9999, "none": None, "other": next(iter(others), 9999)}
        is_told = each.outcome is Outcome.ACKNOWLEDGED and told != "right"
        misled.append(replace(each, order_id=wrong[told]) if is_told else each)
    found = findings(misled, history.keyless)
    assert_open_ones_true(history, found)
    if found.committed_total is not None:
        rightly_told = {
            each.row.id
            for each in found.attempts
            if each.verdict is Verdict.CONFIRMED and each.row is not None
        }
        by_open_ones = {
            history.made[each.attempt_id]
            for each in misled
            if each.outcome is Outcome.INDETERMINATE
        }
        assert found.committed_total == len(by_open_ones - rightly_told - {None})


def assert_open_ones_true(history: History, found: Reconciliation) -> None:
    for each in found.attempts:
        made = history.made[each.attempt.attempt_id]
        if each.attempt.outcome is Outcome.INDETERMINATE:
            assert each.verdict is not Verdict.COMMITTED or made is not None
            assert each.verdict is not Verdict.ABSENT or made is None


@OFTEN
@given(histories())
def test_hiding_keys_never_contradicts_the_keyed_verdict(history: History) -> None:
    by_key = {
        each.attempt.attempt_id: each.verdict
        for each in findings(history.attempts, history.rows).attempts
    }
    contradictions = {
        (Verdict.COMMITTED, Verdict.ABSENT),
        (Verdict.ABSENT, Verdict.COMMITTED),
        (Verdict.CONFIRMED, Verdict.LOST),
        (Verdict.CONFIRMED, Verdict.ALTERED),
    }
    for name, verdict in judged(history, history.rows).items():
        assert (by_key[name], verdict) not in contradictions


@RANDOM
@given(histories())
def test_keys_that_are_not_to_be_used_are_not_looked_at(history: History) -> None:
    assert judged(history, history.rows) == judged(history, history.keyless)


@RANDOM
@given(histories(is_blind=False))
def test_an_honest_shop_is_never_accused_though_its_rows_bear_no_key(history: History) -> None:
    found = invariants_of(evidence(history.attempts, history.keyless))
    assert RunVerdict.BROKEN not in found.values()


@RANDOM
@given(histories())
def test_what_is_held_without_keys_is_held_with_them(history: History) -> None:
    without = invariants_of(evidence(history.attempts, history.keyless))
    with_keys = invariants_of(evidence(history.attempts, history.rows))
    for name, verdict in without.items():
        assert verdict is not RunVerdict.HELD or with_keys[name] is RunVerdict.HELD


@RANDOM
@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_attempts_and_rows_is_irrelevant(
    history: History, shuffler: random.Random
) -> None:
    expected = findings(history.attempts, history.keyless, late_window_s=2.0)
    attempts, rows = list(history.attempts), history.keyless
    shuffler.shuffle(attempts)
    shuffler.shuffle(rows)
    assert findings(attempts, rows, late_window_s=2.0) == expected


@RARELY
@given(histories(), st.randoms(use_true_random=False))
def test_the_same_evidence_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, history: History, shuffler: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("same")
    found = []
    for name in ("one", "two"):
        directory = RunDirectory.create(root=folder / name, experiment="test", at=NOON)
        store(directory, evidence(history.attempts, history.keyless))
        judge_run(directory, late_window_s=2.5)
        found.append(
            [directory.path.joinpath(f).read_bytes() for f in (RECONCILIATION_FILE, SUMMARY_FILE)]
        )
        shuffler.shuffle(history.attempts)
        shuffler.shuffle(history.rows)
    assert found[0] == found[1]
    assert all(each.total == PRICES[each.product_id or 0] for each in history.rows)
