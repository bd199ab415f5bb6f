"""Before a private lab goes its database is read, if anything of a run is still in it."""

import os
from pathlib import Path

import pytest

from analysis.database.snapshot import take_before
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ATTEMPTS, ORDERS, REQUESTS
from infra.launch.unread_orders import read_before_it_goes
from tests.analysis.database.test_reading import AT, KEYED_SQL, PRODUCTS_SQL, execute

pytestmark = pytest.mark.lab


@pytest.fixture
def unread(database_url: str, tmp_path: Path) -> RunDirectory:
    """A run that has ended while its database was away."""
    made = RunDirectory.create(root=tmp_path, experiment="test", at=AT)
    made.update_run(
        started_at="2026-11-23T12:00:00Z",
        ended_at="2026-11-23T12:01:00Z",
        settings={"database_wait_s": 0.1, "fail_on": "never"},
    )
    with made.new_table(ATTEMPTS), made.new_table(REQUESTS):
        pass
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    take_before(made, database_url, settle_limit_s=10)
    return made


def test_orders_that_were_not_read_are_read_before_the_lab_goes(
    database_url: str, unread: RunDirectory
) -> None:
    said: list[str] = []
    environment = {**os.environ, "DATABASE_URL": database_url}
    assert read_before_it_goes([str(unread.path)], environment, say=said.append) == 0
    assert unread.has_table(ORDERS)
    assert len(said) == 1
    assert read_before_it_goes([str(unread.path)], environment, say=said.append) is None
    assert len(said) == 1, "what has been read is not read again"


def test_orders_that_go_with_the_lab_are_not_lost_in_silence(unread: RunDirectory) -> None:
    said: list[str] = []
    environment = {**os.environ, "DATABASE_URL": "postgresql://shop@127.0.0.1:1/shop"}
    assert read_before_it_goes([str(unread.path)], environment, say=said.append) == 0
    assert "could not be read and go with the lab's database" in said[1]


def test_only_the_newest_runs_code_counts(
    database_url: str, unread: RunDirectory, tmp_path: Path
) -> None:
    newest = tmp_path / "newest"  # whose database was read, or never was one
    newest.mkdir()
    environment = {**os.environ, "DATABASE_URL": database_url}
    both = [str(unread.path), str(newest)]
    assert read_before_it_goes(both, environment, say=lambda _: None) is None
    assert unread.has_table(ORDERS)
