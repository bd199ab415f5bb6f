"""A table is the same from Parquet as from CSV, and Parquet that is not whole is said to be so."""

import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis import __main__ as command
from analysis.closing.close import add_parquet
from analysis.evidence.errors import EvidenceError
from analysis.evidence.records import Event, OrderRow, Product, Request, parse_time
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.sql import duck, parquet
from analysis.evidence.sql.duck import csv_of
from analysis.evidence.tables import ATTEMPTS, EVENTS, ORDERS, PRODUCTS, REQUESTS, RecordT, Table
from tests.analysis.evidence.test_run_directory import HOSTILE, TEXTS, TIMES, WHOLE
from tests.analysis.histories import acknowledged, evidence, indeterminate, request, row, store
from tests.analysis.ledgers import START, write_ledger
from tests.examples import examples

TABLES = (ATTEMPTS, REQUESTS, ORDERS, PRODUCTS)
FOREVER = st.integers(parse_time("0001-01-01T00:00:00Z"), parse_time("9999-12-31T23:59:59Z"))
MONEY = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=0, max_value=10**9)
ANY_MONEY = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda m: abs(m) < 10**50)
A, B = acknowledged("a", 1), indeterminate("b")


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """In a folder whose name DuckDB could take for a pattern, a partition or the end of a text."""
    root = tmp_path / "quantity=1" / "it's [a] run*"
    return RunDirectory.create(root=root, experiment="test", at=START)


@pytest.fixture
def good(directory: RunDirectory) -> RunDirectory:
    """A whole run that was stored both ways."""
    store(directory, evidence([A, B], [row(1, A), row(2, B)]))
    add_parquet(directory)
    return directory


def both_ways(
    directory: RunDirectory, table: Table[RecordT], records: list[RecordT]
) -> tuple[list[RecordT], list[RecordT]]:
    """What is read from CSV, and from Parquet made of it alone."""
    with directory.new_table(table) as put:
        for record in records:
            put(record)
    from_csv = list(directory.read_table(table))
    directory.add_parquet(table)
    csv_file = directory.path / table.file_name
    csv_file.unlink()
    return from_csv, list(directory.read_table(table))


def write_foreign(directory: RunDirectory, name: str, select: str) -> None:
    """Parquet as another program may have written it."""
    directory.path.joinpath(f"{name}.csv").unlink(missing_ok=True)
    path = str(directory.path / f"{name}.parquet").replace("'", "''")
    with duckdb.connect() as database:
        database.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")


def types_of(directory: RunDirectory, name: str) -> dict[str, str]:
    path = str(directory.path / f"{name}.parquet").replace("'", "''")
    with duckdb.connect() as database:
        described = database.execute(f"DESCRIBE SELECT * FROM read_parquet('{path}')").fetchall()
    return {column: kind for column, kind, *_ in described}


# --- the same records ---


def whole_requests() -> st.SearchStrategy[Request]:
    return st.builds(
        Request,
        process_id=TEXTS,
        user_id=TEXTS,
        name=TEXTS,
        method=TEXTS,
        due_at=FOREVER | st.none(),
        sent_at=TIMES | st.none(),
        ended_at=TIMES | st.none(),
        http_status=WHOLE | st.none(),
        error=TEXTS,
        bytes=st.integers() | st.none(),
        served_by=TEXTS,
        attempt_id=TEXTS,
    )


def whole_orders(money: st.SearchStrategy[Decimal]) -> st.SearchStrategy[OrderRow]:
    return st.builds(
        OrderRow,
        id=st.integers(),
        product_id=WHOLE | st.none(),
        quantity=WHOLE | st.none(),
        total=money | st.none(),
        status=TEXTS,
        created_at=TIMES | st.none(),
        order_key=TEXTS,
        attempt_id=TEXTS,
        served_by=TEXTS,
        committed_at=FOREVER | st.none(),
    )


@given(
    st.lists(whole_requests()), st.lists(whole_orders(MONEY)) | st.lists(whole_orders(ANY_MONEY))
)
@settings(examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_records_from_parquet_are_those_from_csv(
    directory: RunDirectory, requests: list[Request], orders: list[OrderRow]
) -> None:
    from_csv, from_parquet = both_ways(directory, REQUESTS, requests)
    assert from_parquet == from_csv == requests
    orders_of_csv, orders_of_parquet = both_ways(directory, ORDERS, orders)
    # Equal amounts may have unequal digits: those are the same too.
    assert repr(orders_of_parquet) == repr(orders_of_csv)
    directory.path.joinpath("requests.parquet").unlink()
    directory.path.joinpath("orders.parquet").unlink()


def test_hostile_texts_and_every_table_come_back(directory: RunDirectory) -> None:
    texts = [*HOSTILE, "", '"', "NULL", "\\", "#", "\ufeff", "x" * 10**6]
    attempts = [acknowledged(text, 1, error=text, http_status=None) for text in texts]
    assert both_ways(directory, ATTEMPTS, attempts) == (attempts, attempts)
    products = [
        Product(id=number, name=text, price=None, stock_before=None, stock_after=-1)
        for number, text in enumerate([*texts, "x,\r\n" * 2_500_000])
    ]
    assert both_ways(directory, PRODUCTS, products) == (products, products)
    events = [Event(at=START, source="fis", subject="", event="", detail=text) for text in texts]
    directory.path.joinpath("events.csv").unlink()
    assert both_ways(directory, EVENTS, events) == (events, events)


def test_more_rows_than_are_fetched_at_once_come_back_in_their_order(
    directory: RunDirectory,
) -> None:
    requests = [request(f"GET /{number}") for number in range(12_345)]
    _, from_parquet = both_ways(directory, REQUESTS, requests)
    assert from_parquet == requests


def test_columns_have_types(good: RunDirectory) -> None:
    attempts, orders = types_of(good, "attempts"), types_of(good, "orders")
    assert (attempts["attempt_id"], attempts["outcome"]) == ("VARCHAR", "VARCHAR")
    assert (attempts["quantity"], attempts["order_id"]) == ("BIGINT", "BIGINT")
    assert {attempts[each] for each in ("due_at", "sent_at", "ended_at")} == {
        "TIMESTAMP WITH TIME ZONE"
    }
    assert orders["total"] == "DECIMAL(38,2)"


def test_a_time_is_the_same_moment_to_the_microsecond_for_other_programs(
    directory: RunDirectory,
) -> None:
    both_ways(directory, REQUESTS, [request(sent_at=START + 123_456)])
    path = str(directory.path / "requests.parquet").replace("'", "''")
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'Asia/Tokyo'")
        (found,) = database.execute(
            f"SELECT epoch_us(sent_at) FROM read_parquet('{path}')"
        ).fetchall()
    assert found == (START + 123_456,)


@pytest.mark.parametrize(
    ("total", "kind"),
    [("1.5", "DECIMAL(38,1)"), ("7", "DECIMAL(38,0)"), ("1E+60", "VARCHAR"), ("-0.0", "VARCHAR")],
)
def test_money_has_the_digits_that_it_has_in_csv(
    directory: RunDirectory, total: str, kind: str
) -> None:
    both_ways(directory, ORDERS, [row(1, total=Decimal(total)), row(2, total=None)])
    assert types_of(directory, "orders")["total"] == kind


def test_what_a_type_cannot_hold_stays_text(directory: RunDirectory) -> None:
    mixed = [row(2**80, total=Decimal("1.5")), row(2, total=Decimal("1.25"))]
    from_csv, from_parquet = both_ways(directory, ORDERS, mixed)
    assert repr(from_parquet) == repr(from_csv)
    assert [types_of(directory, "orders")[each] for each in ("id", "total")] == ["VARCHAR"] * 2


def test_csv_of_another_program_may_end_its_lines_otherwise(directory: RunDirectory) -> None:
    text = "\ufeffid,name,price,stock_before,stock_after,colour\n1,x,2.50,3,2,red\n2,,,,,\n"
    directory.path.joinpath("products.csv").write_text(text, encoding="utf-8")
    from_csv = list(directory.read_table(PRODUCTS))
    directory.add_parquet(PRODUCTS)
    assert directory.has("products.parquet")
    assert list(directory.read_table(PRODUCTS)) == from_csv
    assert types_of(directory, "products")["colour"] == "VARCHAR"


# --- what is read ---


def test_parquet_is_read_where_there_are_both(good: RunDirectory) -> None:
    good.path.joinpath("attempts.csv").write_text("nonsense")
    assert list(good.read_table(ATTEMPTS)) == [A, B]


def test_a_run_that_is_parquet_alone_is_judged_as_before(
    good: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    results = []
    for _ in range(2):
        assert command.main(["reconcile", str(good.path)]) == 0
        results.append(good.path.joinpath("reconciliation.csv").read_bytes())
        for table in TABLES:
            good.path.joinpath(table.file_name).unlink(missing_ok=True)
    assert results[0] == results[1]
    assert command.main(["finish", str(good.path)]) == 0
    assert not good.path.joinpath("attempts.csv").exists()


def test_parquet_of_another_program_is_read(directory: RunDirectory) -> None:
    write_foreign(
        directory,
        "products",
        "SELECT 1::TINYINT AS id, 'x' AS name, 2.5::DECIMAL(5, 2) AS price, "
        "'3' AS stock_before, NULL::UBIGINT AS stock_after, 'red' AS colour",
    )
    (found,) = directory.read_table(PRODUCTS)
    assert found == Product(id=1, name="x", price=Decimal("2.50"), stock_before=3, stock_after=None)


def test_parquet_from_before_a_column_was_added_is_read(good: RunDirectory) -> None:
    path = str(good.path / "attempts.csv").replace("'", "''")
    write = f"SELECT * EXCLUDE (retry_of) FROM read_csv('{path}', all_varchar=true)"
    with duckdb.connect() as database:
        target = str(good.path / "attempts.parquet").replace("'", "''")
        database.execute(f"COPY ({write}) TO '{target}' (FORMAT parquet)")
    assert list(good.read_table(ATTEMPTS)) == [A, B]


# --- what is wrong ---

PRODUCT = "1 AS id, 'x' AS name, 2.5 AS price, 3 AS stock_before, 4 AS stock_after"


@pytest.mark.parametrize(
    ("select", "complaint"),
    [
        (f"SELECT * REPLACE (1.5::DOUBLE AS price) FROM (SELECT {PRODUCT})", "price is DOUBLE"),
        (f"SELECT * REPLACE (true AS id) FROM (SELECT {PRODUCT})", "id is BOOLEAN"),
        (f"SELECT * REPLACE ([1] AS name) FROM (SELECT {PRODUCT})", "name is INTEGER[]"),
        (f"SELECT * REPLACE ('x' AS id) FROM (SELECT {PRODUCT})", "row 1: its id is 'x'"),
        (f"SELECT * REPLACE (NULL::INT AS id) FROM (SELECT {PRODUCT})", "row 1: its id is ''"),
        (f"SELECT * EXCLUDE (id) FROM (SELECT {PRODUCT})", "lacks id"),
        ("SELECT 1 AS colour", "lacks id, name, price, stock_before, stock_after"),
    ],
    ids=["double", "boolean", "list", "word", "null", "no id", "nothing"],
)
def test_a_wrong_column_is_named(directory: RunDirectory, select: str, complaint: str) -> None:
    write_foreign(directory, "products", select)
    with pytest.raises(EvidenceError) as caught:
        list(directory.read_table(PRODUCTS))
    assert complaint in str(caught.value)
    assert "products.parquet" in str(caught.value)


def test_a_time_without_an_offset_is_refused(directory: RunDirectory) -> None:
    columns = "'' AS source, '' AS subject, '' AS event, '' AS detail"
    write_foreign(directory, "events", f"SELECT TIMESTAMP '2026-11-23 12:00:00' AS at, {columns}")
    with pytest.raises(EvidenceError, match="at is TIMESTAMP, but times"):
        list(directory.read_table(EVENTS))


def damaged(whole: bytes) -> Iterator[bytes]:
    yield b""
    yield b"PAR1"
    yield b"nonsense" * 100
    for part in (0.1, 0.5, 0.9, 0.999):
        yield whole[: int(len(whole) * part)]
    yield whole[: len(whole) // 3] + bytes(len(whole) // 3) + whole[2 * len(whole) // 3 :]


def test_damaged_parquet_is_one_line_and_64(
    good: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    path = good.path / "orders.parquet"
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        assert command.main(["reconcile", str(good.path)]) == 64
        shown = capsys.readouterr().err
        assert "orders.parquet cannot be read as Parquet" in shown
        assert shown.count("\n") == 1


# --- when it is written ---


def test_finish_writes_parquet_when_asked_and_only_once(directory: RunDirectory) -> None:
    directory.update_run(started_at="2026-11-23T12:00:00Z", ended_at=None)
    write_ledger(directory.ledger_file("p1"), requests=500)
    assert command.main(["finish", str(directory.path)]) == 2
    assert not list(directory.path.glob("*.parquet"))
    from_csv = list(directory.read_table(ATTEMPTS)), list(directory.read_table(REQUESTS))
    assert command.main(["finish", str(directory.path), "--parquet"]) == 2
    written = {each: each.stat().st_mtime_ns for each in directory.path.glob("*.parquet")}
    assert {each.name for each in written} == {"attempts.parquet", "requests.parquet"}
    assert command.main(["finish", str(directory.path), "--parquet"]) == 2
    assert {each: each.stat().st_mtime_ns for each in written} == written
    for name in ("attempts.csv", "requests.csv"):
        directory.path.joinpath(name).unlink()
    assert (list(directory.read_table(ATTEMPTS)), list(directory.read_table(REQUESTS))) == from_csv


def test_parquet_that_could_not_be_written_whole_is_not_there_and_csv_is_judged(
    good: RunDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in good.path.glob("*.parquet"):
        each.unlink()
    monkeypatch.setattr(duck, "_MEMORY", "1MB")
    assert command.main(["finish", str(good.path), "--parquet"]) == 0
    assert "attempts.csv cannot be written as Parquet" in capsys.readouterr().err
    assert {each.name for each in good.path.iterdir() if "parquet" in each.name} == set()
    assert not good.path.joinpath(".scratch").exists()


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"id,\xff", b'id,name,price,stock_before,stock_after\n1,"x,1,3,2']
)
def test_damaged_csv_is_not_made_parquet(directory: RunDirectory, content: bytes) -> None:
    directory.path.joinpath("products.csv").write_bytes(content)
    with pytest.raises(
        EvidenceError, match=r"products\.csv cannot be written as Parquet: ."
    ) as error:
        directory.add_parquet(PRODUCTS)
    assert "\n" not in str(error.value)
    assert not directory.has("products.parquet")


def test_of_a_large_run_what_is_judged_is_stored_in_any_case(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(directory, evidence([A, B], [row(1, A), row(2, B)]))
    size = sum(directory.size(each.file_name) for each in (ATTEMPTS, ORDERS))
    for large_from, stored in ((size, []), (size - 1, ["attempts.parquet", "orders.parquet"])):
        monkeypatch.setattr("analysis.closing.close._LARGE_BYTES", large_from)
        add_parquet(directory, every_table=False)
        assert sorted(each.name for each in directory.path.glob("*.parquet")) == stored


def test_parquet_that_is_not_what_the_csv_says_is_thrown_away(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where a cell has quotes, nothing is taken on trust.
    requests = [request(f'GET /"{number}"') for number in range(3)]
    with directory.new_table(REQUESTS) as put:
        for each in requests:
            put(each)
    content = csv_of(list(REQUESTS.columns), directory.path / "requests.csv")
    for wrong, number in ((" OFFSET 1", 1), (" LIMIT 2", 3), (" ORDER BY name DESC", 1)):
        misread = f"(SELECT * FROM {content}{wrong})"
        monkeypatch.setattr(parquet, "csv_of", lambda *_, misread=misread: misread)
        with pytest.raises(EvidenceError, match=f"row {number} would not be the same"):
            directory.add_parquet(REQUESTS)
        assert not directory.has("requests.parquet")
    assert list(directory.read_table(REQUESTS)) == requests


def test_a_table_that_is_written_anew_leaves_no_older_parquet(good: RunDirectory) -> None:
    with good.new_table(ATTEMPTS) as put:
        put(B)
    assert list(good.read_table(ATTEMPTS)) == [B]


def test_the_commands_start_without_loading_duckdb() -> None:
    script = "import sys, analysis.__main__; sys.exit('duckdb' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
