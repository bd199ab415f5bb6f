"""Files of a run survive a round trip, and a damaged one is named with its line."""

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.evidence.answers import NONCOMMITTAL
from analysis.evidence.errors import EvidenceError
from analysis.evidence.files.writing import put_in_place, sync_folder
from analysis.evidence.records import (
    Attempt,
    Event,
    OrderRow,
    Outcome,
    Product,
    Request,
    parse_time,
)
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ATTEMPTS, EVENTS, ORDERS, PRODUCTS, REQUESTS, RecordT, Table
from tests.analysis.histories import acknowledged, request, row
from tests.examples import examples

AT = parse_time("2026-11-23T15:15:30.123456Z")
HOSTILE = ['a,b "c"', "line\nbreak\r\nand\rmore", "=1+1", "naïve ✓ 🛒", "nul\0", "[bold]x[/]", " "]


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(root=tmp_path / "runs", experiment="stop-one-server", at=AT)


def round_trip(
    directory: RunDirectory, table: Table[RecordT], records: list[RecordT]
) -> list[RecordT]:
    with directory.new_table(table) as put:
        for record in records:
            put(record)
    return list(directory.read_table(table))


# --- creating ---


def test_run_is_named_by_its_time_and_experiment(directory: RunDirectory) -> None:
    assert directory.run_id == "20261123T151530Z-stop-one-server"
    assert directory.ledger_file("p1").parent.is_dir()
    assert directory.path.joinpath("events.csv").read_text() == "at,source,subject,event,detail\n"


def test_latest_points_at_the_newest_run(tmp_path: Path) -> None:
    for experiment in ("one", "two"):
        made = RunDirectory.create(root=tmp_path, experiment=experiment, at=AT)
        assert RunDirectory(tmp_path / "latest").run_id == made.run_id
    assert tmp_path.joinpath("latest").readlink() == Path(made.run_id)


def test_runs_of_the_same_second_are_numbered(tmp_path: Path) -> None:
    names = [
        RunDirectory.create(root=tmp_path, experiment="a/../b c", at=AT).run_id for _ in range(3)
    ]
    first = "20261123T151530Z-a-..-b-c"
    assert names == [first, f"{first}-2", f"{first}-3"]


def test_a_run_may_be_put_anywhere_that_holds_none(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    made = RunDirectory.create(root=tmp_path / "runs", experiment="x", at=AT, path=path)
    assert made.path == path
    assert RunDirectory(tmp_path / "runs" / "latest").path == path
    with pytest.raises(EvidenceError, match="holds a run already"):
        RunDirectory.create(root=tmp_path / "runs", experiment="x", at=AT, path=path)


def test_a_folder_called_latest_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    with pytest.raises(EvidenceError, match="not a link"):
        RunDirectory.create(root=tmp_path, experiment="x", at=AT)


def test_a_run_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="no such run directory"):
        RunDirectory(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_a_ledger_cannot_be_put_elsewhere(directory: RunDirectory, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a ledger"):
        directory.ledger_file(name)


# --- run.json and events ---


def test_run_json_keeps_what_is_not_updated(directory: RunDirectory) -> None:
    directory.update_run(target="lab", ended_at=None)
    directory.update_run(ended_at="x")
    expected = {"run_id": directory.run_id, "target": "lab", "ended_at": "x"}
    assert directory.read_run() == expected
    assert not [each for each in directory.path.iterdir() if each.name.endswith(".part")]


def test_run_json_updated_by_many_at_once_loses_nothing(directory: RunDirectory) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: directory.update_run(**{f"f{number}": number}), range(40)))
    assert {f"f{number}" for number in range(40)} <= set(directory.read_run())


@pytest.mark.parametrize("content", ["{", "[]", "\xff", ""])
def test_damaged_run_json_is_an_error(directory: RunDirectory, content: str) -> None:
    directory.path.joinpath("run.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(EvidenceError, match=r"run\.json"):
        directory.read_run()


def test_events_are_appended_in_order(directory: RunDirectory) -> None:
    events = [
        Event(at=AT + number, source="fis", subject="EXP", event="running", detail=text)
        for number, text in enumerate(HOSTILE)
    ]
    for event in events:
        directory.append_event(event)
    assert list(directory.read_table(EVENTS)) == events


# --- tables ---


@pytest.mark.parametrize(
    ("columns", "contract"),
    [
        (
            ATTEMPTS.columns,
            (
                "attempt_id, order_key, attempt_no, user_id, process_id, product_id, quantity, "
                "due_at, sent_at, ended_at, outcome, http_status, error, order_id, served_by, "
                "trace_id, retry_of"
            ),
        ),
        (
            REQUESTS.columns,
            (
                "process_id, user_id, name, method, due_at, sent_at, ended_at, http_status, error, "
                "bytes, served_by, attempt_id"
            ),
        ),
        (
            ORDERS.columns,
            (
                "id, product_id, quantity, total, status, created_at, order_key, attempt_id, "
                "served_by, committed_at"
            ),
        ),
        (PRODUCTS.columns, "id, name, price, stock_before, stock_after"),
        (EVENTS.columns, "at, source, subject, event, detail"),
    ],
    ids=["attempts", "requests", "orders", "products", "events"],
)
def test_tables_have_the_contracts_columns(columns: dict[str, object], contract: str) -> None:
    assert ", ".join(columns) == contract


def test_an_unknown_value_is_empty(directory: RunDirectory) -> None:
    a = acknowledged("a", None, http_status=None, due_at=None, ended_at=None)
    assert round_trip(directory, ATTEMPTS, [a]) == [a]
    line = directory.path.joinpath("attempts.csv").read_text().splitlines()[1]
    assert line == ("a,order-a,1,u1,p1,1,1,,2026-11-23T12:00:00.000000Z,,acknowledged,,,,,,")


def test_a_file_from_before_a_column_was_added_is_read(directory: RunDirectory) -> None:
    a = acknowledged("a", 7)
    round_trip(directory, ATTEMPTS, [a])
    path = directory.path / "attempts.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].removesuffix(",retry_of"), lines[1].removesuffix(",")]))
    assert list(directory.read_table(ATTEMPTS)) == [a]


def test_not_a_number_in_the_table_of_orders_is_unknown(directory: RunDirectory) -> None:
    (found,) = round_trip(directory, ORDERS, [row(1, total=Decimal("NaN"))])
    assert found.total is None


TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(HOSTILE)
TIMES = st.integers(0, 4_000_000_000_000_000)
WHOLE = st.integers(-(2**62), 2**62)
MONEY = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=0, max_value=10**9)


@given(
    st.lists(st.builds(Event, at=TIMES, source=TEXTS, subject=TEXTS, event=TEXTS, detail=TEXTS)),
    st.lists(
        st.builds(
            OrderRow,
            id=WHOLE,
            product_id=WHOLE | st.none(),
            quantity=WHOLE | st.none(),
            total=MONEY | st.none(),
            status=TEXTS,
            created_at=TIMES | st.none(),
            order_key=TEXTS,
            attempt_id=TEXTS,
            served_by=TEXTS,
            committed_at=TIMES | st.none(),
        )
    ),
    st.builds(
        Attempt,
        attempt_id=TEXTS,
        order_key=TEXTS,
        attempt_no=WHOLE,
        user_id=TEXTS,
        process_id=TEXTS,
        product_id=WHOLE,
        quantity=WHOLE,
        due_at=TIMES | st.none(),
        sent_at=TIMES | st.none(),
        ended_at=TIMES | st.none(),
        outcome=st.sampled_from(Outcome),
        # An acknowledgement with one of these is read as what it is (`outcome_recorded`).
        http_status=WHOLE.filter(lambda status: status not in NONCOMMITTAL) | st.none(),
        error=TEXTS,
        order_id=WHOLE | st.none(),
        served_by=TEXTS,
        trace_id=TEXTS,
        retry_of=TEXTS,
    ),
)
@settings(examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tables_survive_a_round_trip(
    directory: RunDirectory, events: list[Event], rows: list[OrderRow], one: Attempt
) -> None:
    assert round_trip(directory, EVENTS, events) == events
    assert round_trip(directory, ORDERS, rows) == rows
    assert round_trip(directory, ATTEMPTS, [one]) == [one]


def test_requests_and_products_survive_a_round_trip(directory: RunDirectory) -> None:
    requests: list[Request] = [request(name) for name in HOSTILE]
    assert round_trip(directory, REQUESTS, requests) == requests
    products = [Product(id=1, name=HOSTILE[0], price=None, stock_before=None, stock_after=-1)]
    assert round_trip(directory, PRODUCTS, products) == products


def test_a_cell_of_ten_megabytes_is_read_as_it_was_written(directory: RunDirectory) -> None:
    long = request("GET " + "x,\r\n" * 2_500_000)
    assert round_trip(directory, REQUESTS, [long]) == [long]


def test_a_line_of_a_ledger_that_never_ends_is_one_torn_line_in_bounded_memory(
    directory: RunDirectory,
) -> None:
    closed = b'["closed",4]\n'
    ledger = directory.ledger_file("p1")
    # After the longest line that is read comes what would be a line of its own.
    ledger.write_bytes(closed + b"\0" * 2**24 + closed + closed + b"\0" * 2**26)
    lines = list(directory.read_lines(ledger))
    assert [len(line) for line in lines] == [13, 2**24, 13, 2**24]


def test_half_a_surrogate_is_written_out(directory: RunDirectory) -> None:
    (found,) = round_trip(directory, REQUESTS, [request("GET \ud800")])
    assert found.name == "\\ud800"


def test_columns_added_at_the_end_and_a_byte_order_mark_are_no_trouble(
    directory: RunDirectory,
) -> None:
    text = "\ufeffid,name,price,stock_before,stock_after,colour\r\n1,x,2.50,3,2,red\r\n"
    directory.path.joinpath("products.csv").write_text(text, encoding="utf-8")
    (found,) = directory.read_table(PRODUCTS)
    assert found.price == Decimal("2.50")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "products.csv is empty"),
        ("id,name,price,stock_before\r\n", "header lacks stock_after"),
        ("id,id,name,price,stock_before,stock_after\r\n", "names id twice"),
        ("id," + 2 * ("n" * 10**6 + ",") + "name,price,stock_before,stock_after", "twice"),
        ("id,name,price,stock_before,stock_after\r\n1,x,2.50,3\r\n", "line 2: it has 4 cells"),
        ("id,name,price,stock_before,stock_after\r\nx,x,1,3,2\r\n", "line 2: its id is 'x'"),
        ("id,name,price,stock_before,stock_after\r\n,x,1,3,2\r\n", "line 2: its id is ''"),
        ("id,name,price,stock_before,stock_after\r\n1,x,NaN,3,2\r\n", "its price is 'NaN'"),
        ("id,name,price,stock_before,stock_after\r\n1,x,abc,3,2\r\n", "not an amount of money"),
        ('id,name,price,stock_before,stock_after\r\n1,"x,1,3,2\r\n', "unexpected end of data"),
        ("id,name,price,stock_before,stock_after\r\n1," + "x" * 2**25 + ",1,3,2", "field larger"),
    ],
    ids=[
        "empty",
        "short",
        "twice",
        "huge name twice",
        "torn",
        "word",
        "none",
        "nan",
        "money",
        "quote",
        "huge",
    ],
)
def test_a_damaged_table_is_named_with_its_line(
    directory: RunDirectory, text: str, complaint: str
) -> None:
    directory.path.joinpath("products.csv").write_bytes(text.encode())
    with pytest.raises(EvidenceError) as caught:
        list(directory.read_table(PRODUCTS))
    assert complaint in str(caught.value)
    assert "products.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_table_that_is_not_utf_8_or_missing_is_an_error(directory: RunDirectory) -> None:
    with pytest.raises(EvidenceError, match="is missing"):
        list(directory.read_table(PRODUCTS))
    directory.path.joinpath("products.csv").write_bytes(b"id,\xff")
    with pytest.raises(EvidenceError, match="not UTF-8"):
        list(directory.read_table(PRODUCTS))


def test_file_that_another_wrote_is_taken_whole(directory: RunDirectory) -> None:
    (directory.path / "lines.csv").write_text("old")
    written = directory.path / "elsewhere"
    written.write_text("new")
    put_in_place(written, directory.path / "lines.csv")
    assert (directory.path / "lines.csv").read_text() == "new"
    assert not written.exists()


def test_json_is_for_people_too(directory: RunDirectory) -> None:
    directory.write_json("summary.json", {"name": "✓"})
    text = directory.path.joinpath("summary.json").read_text(encoding="utf-8")
    assert text == '{\n  "name": "✓"\n}\n'
    assert json.loads(text) == {"name": "✓"}


def test_folder_that_cannot_be_synced_is_an_error_unless_its_file_system_knows_no_such_thing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_with(number: int) -> None:
        def fsync(_file: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fsync)

    fail_with(errno.EINVAL)
    sync_folder(tmp_path)
    fail_with(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)
