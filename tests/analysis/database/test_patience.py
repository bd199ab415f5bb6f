"""A database that is away when it is to be read: waited for, up to a limit, and read anew.

The server is a real one, and what is between it and us can be cut.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from analysis import __main__ as command
from analysis.database.patience import Patience
from analysis.database.snapshot import take_after, take_before
from analysis.evidence.errors import DatabaseAway, DatabaseError
from analysis.evidence.run_directory import BEFORE_FILE, RunDirectory
from analysis.evidence.tables import ATTEMPTS, ORDERS, REQUESTS
from analysis.terminal import commands
from infra.lab.database.data_api import DataApi
from infra.lab.database.postgres import Postgres
from infra.lab.processes.guard import Guard
from tests.analysis.database.test_reading import AT, KEYED_SQL, PRODUCTS_SQL, execute
from tests.data_api import BadDay, served, url_of
from tests.shop.conftest import Wire

pytestmark = pytest.mark.lab

SHOP = PRODUCTS_SQL + KEYED_SQL
AN_ORDER = "INSERT INTO orders (product_id, quantity, total) VALUES (1, 1, 19.99)"
NOBODY = "postgresql://shop:s3cret@127.0.0.1:1/shop"


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    made = RunDirectory.create(root=tmp_path, experiment="test", at=AT)
    made.update_run(started_at="2026-11-23T12:00:00Z", ended_at="2026-11-23T12:01:00Z")
    return made


@pytest.fixture
def wire(database_url: str) -> Iterator[Wire]:
    made = Wire(database_url)
    yield made
    made.close()


def patient(tell: Callable[[str], object]) -> Patience:
    return Patience(limit_s=60, tell=tell)


def test_a_server_that_crashed_is_read_when_it_has_recovered(directory: RunDirectory) -> None:
    with tempfile.TemporaryDirectory(prefix="chaos-shop-test-") as name, Guard() as guard:
        Path(name).chmod(0o755)
        server = Postgres(folder=Path(name) / "postgres", guard=guard)
        server.start()
        try:
            execute(server.url, SHOP)
            take_before(directory, server.url, settle_limit_s=10)
            execute(server.url, AN_ORDER)
            server.crash()
            told: list[str] = []

            def bring_back(text: str) -> None:
                told.append(text)
                if len(told) == 1:
                    server.clear_away()
                    server.launch()

            take_after(directory, server.url, settle_limit_s=10, patience=patient(bring_back))
        finally:
            server.stop()
    assert told[0].startswith("waiting up to 60 s for the database: ")
    assert len(list(directory.read_table(ORDERS))) == 1


@pytest.mark.parametrize("cut_at", [b"pg_stat_activity", b"FROM products", b"orders_of_the_run"])
def test_a_snapshot_that_is_cut_off_is_taken_again_whole(
    database_url: str, wire: Wire, directory: RunDirectory, cut_at: bytes
) -> None:
    execute(database_url, SHOP)
    told: list[str] = []
    if cut_at != b"orders_of_the_run":
        wire.cut_at = cut_at
    take_before(directory, wire.url, settle_limit_s=10, patience=patient(told.append))
    execute(database_url, AN_ORDER, AN_ORDER)
    wire.cut_at = cut_at
    take_after(directory, wire.url, settle_limit_s=10, patience=patient(told.append))
    assert wire.cuts == (1 if cut_at == b"orders_of_the_run" else 2)
    assert len(told) == wire.cuts
    assert len(list(directory.read_table(ORDERS))) == 2
    assert not list(directory.path.glob("*.part*"))


def test_a_server_that_cannot_be_the_writer_is_waited_for_until_it_is(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, SHOP)
    take_before(directory, database_url, settle_limit_s=10)
    execute(database_url, AN_ORDER)
    in_recovery = (
        "CREATE FUNCTION pg_is_in_recovery() RETURNS boolean RETURN true",
        "ALTER DATABASE test SET search_path = public, pg_catalog",
    )
    read_only = (
        "ALTER DATABASE test RESET search_path",
        "ALTER DATABASE test SET default_transaction_read_only = on",
    )
    writer = (
        "SET default_transaction_read_only = off",
        "ALTER DATABASE test RESET default_transaction_read_only",
    )
    execute(database_url, *in_recovery)
    steps = [read_only, writer]
    told: list[str] = []

    def go_on(text: str) -> None:
        told.append(text)
        execute(database_url, *steps.pop(0))

    take_after(directory, database_url, settle_limit_s=10, patience=patient(go_on))
    assert ["replica" in each for each in told] == [True, False]
    assert "takes no writes" in told[1]
    assert len(list(directory.read_table(ORDERS))) == 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"netloc": "nobody:s3cret@{place}"}, "password authentication failed"),
        ({"path": "/no_such"}, 'database "no_such" does not exist'),
    ],
)
def test_what_waiting_cannot_heal_is_said_at_once(
    database_url: str, directory: RunDirectory, change: dict[str, str], complaint: str
) -> None:
    parts = urlsplit(database_url)
    place = parts.netloc.rpartition("@")[2]
    changed = {name: text.format(place=place) for name, text in change.items()}
    url = urlunsplit(parts._replace(**changed))
    told: list[str] = []
    with pytest.raises(DatabaseError, match=complaint) as caught:
        take_before(directory, url, settle_limit_s=10, patience=patient(told.append))
    assert told == []
    assert not isinstance(caught.value, DatabaseAway)
    assert "is DATABASE_URL right?" in str(caught.value)


def test_the_wait_ends_at_its_limit_and_names_its_setting(directory: RunDirectory) -> None:
    told: list[str] = []
    began = time.monotonic()
    with pytest.raises(DatabaseError, match=r"refused.*\(waited for 1.5 s; --database-wait S"):
        take_before(
            directory,
            NOBODY,
            settle_limit_s=10,
            patience=Patience(limit_s=1.5, tell=told.append),
        )
    assert time.monotonic() - began >= 1.5
    assert len(told) == 1  # each reason once
    assert "s3cret" not in told[0]


def test_a_run_whose_database_does_not_come_back_is_undecided_for_that_and_can_go_on(
    database_url: str,
    directory: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with directory.new_table(ATTEMPTS), directory.new_table(REQUESTS):
        pass
    execute(database_url, SHOP)
    take_before(directory, database_url, settle_limit_s=10)
    directory.update_run(settings={"database_wait_s": 0.1})
    finish = ["finish", str(directory.path), "--no-report"]
    monkeypatch.setenv("DATABASE_URL", NOBODY)
    assert command.main(finish) == 2
    assert "waiting up to 0.1 s for the database" in capsys.readouterr().err
    invariants = json.loads((directory.path / "summary.json").read_text())["invariants"]
    assert all(
        "the orders table was not read (the database shop" in each["detail"] for each in invariants
    )
    monkeypatch.setenv("DATABASE_URL", database_url)
    command.main(finish)
    assert directory.has_table(ORDERS)
    assert "not read" not in (directory.path / "summary.json").read_text()


def test_before_a_run_the_wait_is_short(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", NOBODY)
    monkeypatch.setattr(commands, "WAIT_BEFORE_S", 0.1)
    assert command.main(["snapshot", "--before", str(directory.path)]) == 64
    assert "waiting up to 0.1 s" in capsys.readouterr().err
    assert not directory.has(BEFORE_FILE)


@pytest.mark.parametrize(
    ("code", "call"),
    [("DatabaseUnavailableException", 0), ("TransactionNotFoundException", 9)],
)
def test_through_the_data_api_a_database_that_is_away_is_waited_for(
    database_url: str,
    directory: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    call: int,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "lab")
    execute(database_url, SHOP)
    api = DataApi(database_url)
    told: list[str] = []
    day = BadDay(api, lambda number, *_: code if number >= call and not told else "")
    with served(day) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        take_before(directory, url_of(), settle_limit_s=10, patience=patient(told.append))
    api.close()
    assert len(told) == 1
    assert code in told[0]


def test_a_service_that_nobody_answers_for_is_away(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "lab")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("botocore.retries.standard.RetryHandler.needs_retry", lambda *_, **__: None)
    with pytest.raises(DatabaseError, match="EndpointConnectionError"):
        take_before(directory, url_of(), settle_limit_s=1, patience=Patience(limit_s=0.1))
