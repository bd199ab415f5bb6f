"""What is gathered for a run whose run.json somebody has had their hands on."""

from pathlib import Path

import pytest

from analysis.closing.gathering import gather_access_log, gather_ledgers
from analysis.evidence.run_directory import RunDirectory


@pytest.mark.parametrize("place", [{}, {"path": "/dev/null", "offset": "x"}, {"path": 3}])
def test_a_place_in_the_log_that_makes_no_sense_is_noted_and_no_more(
    tmp_path: Path, place: dict[str, object]
) -> None:
    run = RunDirectory(tmp_path)
    run.update_run(access_log=place)
    gather_access_log(run)
    assert "access_log_not_kept" in (tmp_path / "events.csv").read_text()


def test_settings_that_make_no_sense_name_no_place_of_ledgers(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.update_run(settings="x", incomplete_ledgers=["p1"])
    gather_ledgers(run, limit_s=0)
    assert run.read_run()["incomplete_ledgers"] == ["p1"]
