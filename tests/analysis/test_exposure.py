"""A fault that caught no order in flight says nothing about orders in flight, and that is said."""

from pathlib import Path

import pytest
from rich.console import Console

from analysis.judgement import judge
from analysis.terminal import render
from analysis.windows import Exposure
from tests.analysis.histories import NOON, SECOND, acknowledged, evidence, row, run
from tests.analysis.test_windows import FAULT


@pytest.mark.parametrize(("server", "is_said"), [("i-2", True), ("i-1", False)])
def test_a_run_that_caught_no_order_on_the_victim_says_what_it_cannot_show(
    server: str, is_said: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one = acknowledged("a", 1, sent_at=NOON - SECOND, served_by=server)
    case = evidence([one], [row(1, one, served_by=server)], run=run(fault=FAULT))
    render(judge(case), Console(width=200), directory=tmp_path)
    shown = " ".join(capsys.readouterr().out.replace("│", "").split())
    assert ("this run does not show what becomes of orders" in shown) is is_said


def test_what_is_not_known_is_no_lack() -> None:
    assert not Exposure(orders_in_flight_at_fault=None, on_victim=None).note
    assert not Exposure(orders_in_flight_at_fault=3, on_victim=1).note
    assert Exposure(orders_in_flight_at_fault=3, on_victim=0).note
