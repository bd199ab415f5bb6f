"""A fault that caught no order in flight says nothing about orders in flight, and that is said."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from analysis.evidence.records import Attempt, OrderRow
from analysis.evidence.run import Fault
from analysis.terminal.run_result import render
from analysis.verdict.judge_run import judge
from tests.analysis.histories import (
    NOON,
    SECOND,
    acknowledged,
    evidence,
    indeterminate,
    row,
    run,
)
from tests.analysis.measures.test_windows import FAULT, event

THERE = event(-5, "elb", "i-1", "healthy")


@pytest.mark.parametrize(("server", "is_said"), [("i-2", True), ("i-1", False)])
def test_a_run_that_caught_no_order_on_the_victim_says_what_it_cannot_show(
    server: str, is_said: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one = acknowledged("a", 1, sent_at=NOON - SECOND, served_by=server)
    case = evidence([one], [row(1, one, served_by=server)], run=run(fault=FAULT), events=[THERE])
    render(judge(case), Console(width=200), directory=tmp_path)
    shown = " ".join(capsys.readouterr().out.replace("│", "").split())
    assert ("this run does not show what becomes of orders" in shown) is is_said


ELSEWHERE = acknowledged("a", 1, sent_at=NOON - SECOND, served_by="i-2")
HIDDEN = indeterminate("hidden", sent_at=NOON + SECOND)


@pytest.mark.parametrize(
    ("fault", "attempts", "rows"),
    [
        (None, [ELSEWHERE], [row(1, ELSEWHERE)]),
        (replace(FAULT, started_at=None), [ELSEWHERE], [row(1, ELSEWHERE)]),
        (replace(FAULT, targets=()), [ELSEWHERE], [row(1, ELSEWHERE)]),
        (replace(FAULT, targets=("subnet-1",)), [ELSEWHERE], [row(1, ELSEWHERE)]),
        (replace(FAULT, targets=("shop-cluster",)), [ELSEWHERE], [row(1, ELSEWHERE)]),
        (FAULT, [ELSEWHERE, HIDDEN], [row(1, ELSEWHERE), row(2, HIDDEN)]),
    ],
)
def test_it_is_not_said_where_no_server_was_hit_or_orders_in_doubt_committed(
    fault: Fault | None, attempts: list[Attempt], rows: list[OrderRow]
) -> None:
    case = evidence(attempts, rows, run=run(fault=fault), events=[THERE])
    assert judge(case).exposure_note == ""
    plain = evidence([ELSEWHERE], [row(1, ELSEWHERE)], run=run(fault=FAULT), events=[THERE])
    assert judge(plain).exposure_note
