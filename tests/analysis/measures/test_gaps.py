"""Numbers that no order has are told of an attempt in doubt, and decide nothing."""

from dataclasses import replace

import pytest

from analysis import __main__ as command
from analysis.evidence.run_directory import RunDirectory
from analysis.measures.gaps import Gap, find_gaps, tell_gaps
from tests.analysis.histories import (
    NOON,
    SECOND,
    acknowledged,
    evidence,
    indeterminate,
    row,
    store,
    verdicts,
)

OPEN = indeterminate("open", sent_at=NOON + 2 * SECOND, ended_at=NOON + 4 * SECOND)
TOLD = [
    acknowledged(f"told{number}", number, sent_at=NOON + at * SECOND)
    for number, at in ((101, 1), (104, 3))
]
ROWS = [row(each.order_id or 0, each) for each in TOLD]


def gap(opened_s: float | None, closed_s: float | None) -> Gap:
    opened_at, closed_at = (
        None if at is None else NOON + round(at * SECOND) for at in (opened_s, closed_s)
    )
    return Gap(first=7, last=8, opened_at=opened_at, closed_at=closed_at)


def test_gaps_lie_between_rows_and_after_the_last_one_from_before_the_run() -> None:
    def numbers(above_id: int | None, *ids: int) -> list[tuple[int, int]]:
        found = find_gaps([row(each) for each in ids], above_id=above_id)
        return [(each.first, each.last) for each in found]

    assert numbers(None, 5, 3, 4) == []
    assert numbers(None, 9, 3, 5) == [(4, 4), (6, 8)]
    assert numbers(1, 3, 4) == [(2, 2)]
    assert numbers(2, 3, 3, 4) == []
    assert numbers(2) == []


@pytest.mark.parametrize(
    ("between", "is_its"),
    [
        ((0, 1.9), False),
        ((0, 2), True),
        ((4, 9), True),
        ((4.1, 9), False),
        ((None, 3), True),
        ((None, 1), False),
        ((9, None), False),
        ((1, None), True),
        ((None, None), True),
    ],
)
def test_a_gap_may_be_an_attempts_if_it_was_under_way(
    between: tuple[float | None, float | None], is_its: bool
) -> None:
    assert gap(*between).may_be_of(OPEN) is is_its


def test_one_that_was_never_seen_to_end_may_have_left_any_later_gap() -> None:
    dead = replace(OPEN, ended_at=None)
    assert gap(600, 700).may_be_of(dead)
    assert not gap(0, 1).may_be_of(dead)
    assert not gap(0, 700).may_be_of(replace(OPEN, sent_at=None))


def test_the_database_s_clock_is_allowed_for() -> None:
    hour = 3600 * SECOND
    assert gap(3602, 3603).may_be_of(OPEN, offset_us=hour)
    assert not gap(2, 3).may_be_of(OPEN, offset_us=hour)


def test_gaps_are_named_with_the_reason_why_they_prove_nothing() -> None:
    said = tell_gaps(find_gaps(ROWS, above_id=100), OPEN)
    assert "number 102 to 103 (before 2026-11-23T12:00:03.500000Z): " in said
    assert "proves nothing by itself" in said
    assert tell_gaps([gap(2, 3)] * 5, OPEN).count("7 to 8") == 3
    assert "and 2 more" in tell_gaps([gap(2, 3)] * 5, OPEN)
    assert tell_gaps([], OPEN) == ""


def test_a_gap_never_decides() -> None:
    without_gap = [ROWS[0], replace(ROWS[1], id=102)]
    told = [TOLD[0], replace(TOLD[1], order_id=102)]
    assert verdicts([*TOLD, OPEN], ROWS)["open"] == verdicts([*told, OPEN], without_gap)["open"]


def test_the_story_of_an_attempt_that_is_absent_tells_of_the_gap_beside_it(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = store(RunDirectory(str(tmp_path)), evidence([*TOLD, OPEN], ROWS))
    assert command.main(["story", str(directory.path), "open"]) == 0
    assert "no order has number 102 to 103" in capsys.readouterr().out
    assert command.main(["story", str(directory.path), "told101"]) == 0
    assert "no order has" not in capsys.readouterr().out
