"""Snapshots through the RDS Data API: the same evidence as by PostgreSQL's own protocol.

boto3 asks a real HTTP server, which asks a real PostgreSQL; only Amazon's servers are missing.
"""

import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analysis.database.data_api import Place
from analysis.database.reading import connect
from analysis.database.snapshot import take_after, take_before
from analysis.evidence.errors import DatabaseError
from analysis.evidence.records import parse_time
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ORDERS, PRODUCTS
from infra.lab.database.data_api import DataApi
from tests.analysis.database.test_reading import (
    ARTICLES_SQL,
    KEYED_SQL,
    PRODUCTS_SQL,
    execute,
    open_transaction,
)
from tests.data_api import BadDay, served, url_of

AT = parse_time("2026-11-23T12:00:00Z")
URL = url_of()
Refuse = Callable[[int, str, dict[str, Any]], str]

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")


@pytest.fixture
def api(database_url: str) -> Iterator[DataApi]:
    made = DataApi(database_url)
    yield made
    made.close()


@pytest.fixture
def endpoint(api: DataApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with served(api) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield


@pytest.fixture
def bad_day(api: DataApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Refuse], BadDay]]:
    """Makes the service refuse calls from now on."""
    day = BadDay(api, lambda *_: "")
    with served(day) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)

        def begin(refuse: Refuse) -> BadDay:
            day._refuse = refuse
            day.calls.clear()
            return day

        yield begin


def new_run(folder: Path) -> RunDirectory:
    folder.mkdir()
    made = RunDirectory.create(root=folder, experiment="test", at=AT)
    made.update_run(started_at="2026-11-23T12:00:00Z")
    return made


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return new_run(tmp_path / "run")


ODD = """
    INSERT INTO products (name, price, stock) VALUES (E'a ":x" ''q'' \\\\ 🛒', 0.10, 2147483647);
    INSERT INTO orders (product_id, quantity, total, created_at, order_key, attempt_id, served_by)
    SELECT 1 + n % 3, n, n * 19.99,
           timestamptz '2026-11-23 13:00:00.123456+01' + n * interval '1 us',
           E'k:ey,"\\n' || n, CASE WHEN n % 2 = 0 THEN 'a' || n END, NULL
      FROM generate_series(1, 1500) AS n;
    INSERT INTO orders (product_id, quantity, total, created_at, order_key)
    VALUES (1, 1, 99999999.99, 'infinity', ''), (2, 2, 'NaN', '0001-01-01', NULL);
    DELETE FROM orders WHERE id % 7 = 0;
"""


@pytest.mark.parametrize("schema", [KEYED_SQL, ARTICLES_SQL], ids=["keyed", "article"])
def test_both_ways_to_a_database_give_the_same_bytes(
    database_url: str, endpoint: None, tmp_path: Path, schema: str
) -> None:
    execute(database_url, PRODUCTS_SQL + schema)
    execute(database_url, "INSERT INTO orders (product_id, quantity, total) VALUES (1, 1, 19.99)")
    runs = {url: new_run(tmp_path / name) for name, url in (("psql", database_url), ("api", URL))}
    for url, run in runs.items():
        take_before(run, url, settle_limit_s=10)
    if schema is KEYED_SQL:
        execute(database_url, ODD)
    else:
        execute(database_url, "INSERT INTO orders (product_id, quantity, total) VALUES (2, 3, 15)")
    for url, run in runs.items():
        assert take_after(run, url, settle_limit_s=10).settled
    one, other = (
        {name: (run.path / name).read_bytes() for name in (ORDERS.file_name, PRODUCTS.file_name)}
        for run in runs.values()
    )
    assert one == other
    assert one[ORDERS.file_name].count(b"\r\n") > 1
    befores = [run.read_before() for run in runs.values()]
    for each in befores:
        assert each is not None
        del each["taken_at"], each["settle"]
    assert befores[0] == befores[1]


def test_money_is_exact_to_the_last_digit(database_url: str, endpoint: None) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    execute(database_url, "ALTER TABLE products ALTER price TYPE numeric(40, 20)")
    price = "12345678901234567890.12345678901234567891"
    execute(database_url, f"UPDATE products SET price = {price} WHERE id = 1")
    with connect(URL) as database, database.snapshot() as tables:
        assert tables.products()[0].price == Decimal(price)


def test_answers_stay_below_the_limit_whatever_rows_weigh(
    database_url: str, api: DataApi, bad_day: Callable[[Refuse], BadDay]
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    sizes = [random.Random(7).choice((10, 1_000, 30_000)) for _ in range(400)]
    with psycopg.connect(database_url) as connection:
        connection.cursor().executemany(
            "INSERT INTO orders (product_id, quantity, total, order_key) VALUES (1, 1, 19.99, %s)",
            [(f"{n}-{'x' * size}",) for n, size in enumerate([*[10] * 400, *sizes])],
        )
    day = bad_day(lambda *_: "")
    with connect(URL) as database, database.snapshot() as tables:
        found = [len(row.order_key.partition("-")[2]) for row in tables.orders(above_id=0)]
    assert found == [*[10] * 400, *sizes]
    assert len(day.calls) < 60  # pages, and not row by row


def test_a_row_too_large_for_any_answer_is_named(database_url: str, endpoint: None) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    execute(
        database_url,
        "INSERT INTO orders (product_id, quantity, total, order_key)"
        " SELECT 1, 1, 19.99, repeat('x', n) FROM (VALUES (1), (70000)) AS sizes (n)",
    )
    with (
        connect(URL) as database,
        database.snapshot() as tables,
        pytest.raises(DatabaseError, match=r"above id 1 of the database test .* too large"),
    ):
        list(tables.orders(above_id=0))


def test_all_pages_are_of_one_moment(
    database_url: str, bad_day: Callable[[Refuse], BadDay]
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    insert = (
        "INSERT INTO orders (product_id, quantity, total) SELECT 1, 1, 19.99"
        " FROM generate_series(1, 300)"
    )
    execute(database_url, insert)

    def meanwhile(_number: int, path: str, asked: dict[str, Any]) -> str:
        if "FROM orders WHERE id >" in asked.get("sql", ""):
            execute(database_url, insert, "UPDATE products SET stock = stock - 300")
        return ""

    bad_day(meanwhile)
    with connect(URL) as database, database.snapshot() as tables:
        assert [each.stock for each in tables.products()] == [10, 10]
        assert len(list(tables.orders(above_id=0))) == 300
        assert [each.stock for each in tables.products()] == [10, 10]


def test_settling_waits_for_an_open_transaction(
    database_url: str, endpoint: None, directory: RunDirectory
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    take_before(directory, URL, settle_limit_s=10)
    with open_transaction(database_url, seconds=1.0):
        settle = take_after(directory, URL, settle_limit_s=20)
    assert settle.settled
    assert settle.waited_s >= 0.9
    assert len(list(directory.read_table(ORDERS))) == 1


def test_transaction_that_stays_open_is_named(
    database_url: str, endpoint: None, directory: RunDirectory
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    take_before(directory, URL, settle_limit_s=10)
    with open_transaction(database_url):
        settle = take_after(directory, URL, settle_limit_s=1)
    assert not settle.settled
    assert [each["application_name"] for each in settle.open_transactions] == ["slow shop"]


def test_orders_are_looked_up_by_their_keys(database_url: str, endpoint: None) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    with psycopg.connect(database_url) as connection:
        for key in ('a"\\{,}', ":b", "c"):
            connection.execute(
                "INSERT INTO orders (product_id, quantity, total, order_key, attempt_id)"
                " VALUES (1, 1, 19.99, %s, 't')",
                [key],
            )
    with connect(URL) as database:
        asked = ['a"\\{,}', ":b", "no"]
        assert database.rows_of(asked, limit_s=2) == [('a"\\{,}', "t"), (":b", "t")]


def test_a_throttled_call_and_a_sleeping_database_are_asked_again(
    database_url: str, bad_day: Callable[[Refuse], BadDay], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.database.data_api._WAKE_EVERY_S", 0.01)
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    codes = ["DatabaseResumingException"] * 8 + ["ThrottlingException"] * 2
    day = bad_day(lambda number, *_: codes[number] if number < len(codes) else "")
    with connect(URL) as database, database.snapshot() as tables:
        assert len(tables.products()) == 2
    assert len(day.calls) > len(codes)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("ExpiredTokenException", "credentials have expired"),
        ("AccessDeniedException", "secretsmanager:GetSecretValue"),
        ("HttpEndpointNotEnabledException", "enable_http_endpoint"),
        ("BadRequestException", "is DATABASE_URL right"),
    ],
)
def test_what_aws_refuses_is_one_line_that_says_what_to_do(
    database_url: str,
    bad_day: Callable[[Refuse], BadDay],
    directory: RunDirectory,
    code: str,
    advice: str,
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    bad_day(lambda *_: code)
    with pytest.raises(DatabaseError) as caught:
        take_before(directory, URL, settle_limit_s=1)
    assert advice in str(caught.value)
    assert code in str(caught.value)
    assert "\n" not in str(caught.value)
    bad_day(lambda *_: "")
    take_before(directory, URL, settle_limit_s=10)  # nothing was half written


def test_a_snapshot_that_is_lost_on_the_way_is_taken_again_whole(
    database_url: str, bad_day: Callable[[Refuse], BadDay], directory: RunDirectory
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    take_before(directory, URL, settle_limit_s=10)
    execute(
        database_url,
        "INSERT INTO orders (product_id, quantity, total) SELECT 1, 1, 19.99"
        " FROM generate_series(1, 900)",
    )
    pages = []

    def lose(_number: int, _path: str, asked: dict[str, Any]) -> str:
        is_page = "FROM orders WHERE id >" in asked.get("sql", "")
        if is_page:
            pages.append(asked)
        return "TransactionNotFoundException" if is_page and len(pages) == 2 else ""

    bad_day(lose)
    with pytest.raises(DatabaseError, match="snapshot was lost on the way; run `finish` again"):
        take_after(directory, URL, settle_limit_s=10)
    assert not directory.has_table(ORDERS)
    bad_day(lambda *_: "")
    take_after(directory, URL, settle_limit_s=10)
    assert len(list(directory.read_table(ORDERS))) == 900


def test_nothing_stays_open_after_a_snapshot(
    database_url: str, api: DataApi, endpoint: None
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    with connect(URL) as database, database.snapshot() as tables:
        tables.products()
        assert len(api._open) == 1
    assert api._open == {}


def test_an_idle_transaction_is_gone_as_at_aws(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    api = DataApi(database_url, idle_limit_s=0.0)
    with served(api) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with (
            connect(URL) as database,
            pytest.raises(DatabaseError, match="snapshot was lost"),
            database.snapshot(),
        ):
            pass
    api.close()


@pytest.mark.parametrize(
    "url",
    [
        "rds-data://us-east-1/shop?cluster=c",
        "rds-data://us-east-1?cluster=c&secret=s",
        "rds-data://u:s3cret@us-east-1/shop?cluster=c&secret=s",
        "rds-data://",
    ],
)
def test_a_url_that_lacks_something_is_not_quoted(url: str) -> None:
    with pytest.raises(DatabaseError, match="not of the form rds-data://REGION") as caught:
        Place.parse(url)
    assert "s3cret" not in str(caught.value)


def test_a_statement_that_takes_too_long_is_an_error(database_url: str, endpoint: None) -> None:
    execute(database_url, PRODUCTS_SQL + KEYED_SQL)
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE orders")
        with (
            connect(URL) as database,
            pytest.raises(DatabaseError, match=r"lock timeout|timed out"),
        ):
            database.rows_of(["a"], limit_s=0.3)
