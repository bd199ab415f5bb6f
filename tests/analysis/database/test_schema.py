"""What is refused before any load: tables of which only a part would be read, or not understood."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from analysis.database.reading import connect
from analysis.database.session import subject_of
from analysis.database.snapshot import take_after, take_before
from analysis.evidence.errors import DatabaseError
from analysis.evidence.run_directory import BEFORE_FILE, RunDirectory
from analysis.evidence.tables import ORDERS
from infra.lab.database.data_api import DataApi
from infra.lab.database.postgres import Postgres
from tests.analysis.database.test_reading import (
    ARTICLES_SQL,
    AT,
    KEYED_SQL,
    PRODUCTS_SQL,
    before_and_after,
    execute,
)
from tests.data_api import served, url_of

pytestmark = pytest.mark.lab

SHOP = PRODUCTS_SQL + KEYED_SQL
AN_ORDER = "INSERT INTO orders (product_id, quantity, total) VALUES (1, 1, 19.99)"
POLICY = """
    ALTER TABLE {0} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON {0} USING (product_id = 2);
"""


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    made = RunDirectory.create(root=tmp_path, experiment="test", at=AT)
    made.update_run(started_at="2026-11-23T12:00:00Z")
    return made


def of_user(url: str, user: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{user}@{parts.netloc.rpartition('@')[2]}"))


@pytest.fixture
def reader(database_url: str, postgres_server: Postgres) -> Iterator[str]:
    """The URL of a role that may read the shop's tables and is nobody's owner."""
    execute(database_url, SHOP)
    execute(postgres_server.admin_url, "CREATE ROLE reader LOGIN PASSWORD 'reader'")
    execute(database_url, "GRANT SELECT ON orders, products TO reader")
    yield of_user(database_url, "reader")
    execute(postgres_server.admin_url.rpartition("/")[0] + "/test", "DROP OWNED BY reader")
    execute(postgres_server.admin_url, "DROP ROLE reader")


def refusal(directory: RunDirectory, url: str) -> str:
    """Why the snapshot before the run is refused."""
    with pytest.raises(DatabaseError) as caught:
        take_before(directory, url, settle_limit_s=1)
    assert directory.read_before() is None
    assert "DATABASE_URL" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("table", ["orders", "products"])
def test_a_table_whose_rows_a_policy_hides_is_refused_before_the_load(
    database_url: str, reader: str, directory: RunDirectory, table: str
) -> None:
    policy = POLICY.format(table).replace("product_id = 2", "true")
    execute(database_url, policy)
    for url, role in ((reader, "reader"), (database_url, "shop")):  # FORCE binds the owner too
        why = refusal(directory, url)
        assert f"public.{table}" in why
        assert f"ALTER ROLE {role} BYPASSRLS" in why


def test_rows_that_a_view_of_the_shop_hides_are_an_error_and_not_missing(
    database_url: str, reader: str, directory: RunDirectory
) -> None:
    execute(
        database_url,
        "ALTER TABLE orders RENAME TO all_orders",
        "CREATE VIEW orders WITH (security_invoker) AS SELECT * FROM all_orders",
        POLICY.format("all_orders"),
        "GRANT SELECT ON orders, all_orders TO reader",
    )
    why = refusal(directory, reader)
    assert "BYPASSRLS" in why
    assert "all_orders" in why


def test_through_the_data_api_a_policy_is_refused_too(
    database_url: str, directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "lab")
    api = DataApi(database_url)
    with served(api) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        execute(database_url, SHOP)
        take_before(directory, url_of(), settle_limit_s=10)
        execute(
            database_url,
            "ALTER TABLE orders RENAME TO all_orders",
            "CREATE VIEW orders WITH (security_invoker) AS SELECT * FROM all_orders",
            POLICY.format("all_orders"),
        )
        with pytest.raises(DatabaseError, match="BYPASSRLS"):
            take_after(directory, url_of(), settle_limit_s=10)
        execute(
            database_url,
            "DROP VIEW orders",
            "ALTER TABLE all_orders RENAME TO orders",
        )
        with pytest.raises(DatabaseError, match="ALTER ROLE shop BYPASSRLS"):
            take_after(directory, url_of(), settle_limit_s=10)
    api.close()
    assert not directory.has_table(ORDERS)


def test_a_policy_that_comes_during_the_run_leaves_the_orders_unread(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, SHOP)
    take_before(directory, database_url, settle_limit_s=10)
    execute(database_url, AN_ORDER, POLICY.format("orders"))
    with pytest.raises(DatabaseError, match="BYPASSRLS"):
        take_after(directory, database_url, settle_limit_s=10)
    assert not directory.has_table(ORDERS)


def test_a_role_that_bypasses_policies_reads_all(
    database_url: str, reader: str, postgres_server: Postgres, directory: RunDirectory
) -> None:
    execute(postgres_server.admin_url, "ALTER ROLE reader BYPASSRLS")
    execute(database_url, POLICY.format("orders"))
    take_before(directory, reader, settle_limit_s=10)
    execute(database_url, "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY", AN_ORDER)
    take_after(directory, reader, settle_limit_s=10)
    assert len(list(directory.read_table(ORDERS))) == 1


def test_a_column_that_may_not_be_read_is_named_with_the_role(
    database_url: str, reader: str, directory: RunDirectory
) -> None:
    execute(
        database_url,
        "REVOKE SELECT ON orders FROM reader",
        "GRANT SELECT (id, product_id, quantity, total, created_at, status) ON orders TO reader",
    )
    why = refusal(directory, reader)
    assert "role reader may not read order_key, attempt_id, served_by of public.orders" in why


def test_a_schema_that_may_not_be_entered_is_a_table_that_is_not_seen(
    database_url: str, reader: str, directory: RunDirectory
) -> None:
    execute(
        database_url,
        "CREATE SCHEMA inner_shop",
        "ALTER TABLE orders SET SCHEMA inner_shop",
    )
    why = refusal(directory, f"{reader}?options={quote('-csearch_path=inner_shop,public')}")
    assert "no table orders that the role reader sees in search_path inner_shop" in why


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            "ALTER TABLE orders ALTER id TYPE text",
            "public.orders.id is text",
        ),
        (
            "ALTER TABLE orders ALTER id TYPE uuid USING gen_random_uuid()",
            "public.orders.id is uuid",
        ),
        ("ALTER TABLE orders ALTER product_id TYPE text", "public.orders.product_id is text"),
        (
            "ALTER TABLE orders ALTER created_at TYPE bigint USING 0",
            "public.orders.created_at is bigint",
        ),
        ("ALTER TABLE orders ALTER created_at TYPE text", "public.orders.created_at is text"),
        ("ALTER TABLE orders ALTER total TYPE text", "public.orders.total is text"),
        ("ALTER TABLE orders ALTER quantity TYPE real", "public.orders.quantity is real"),
        ("ALTER TABLE products ALTER price TYPE json USING NULL", "public.products.price is json"),
        ("ALTER TABLE products ALTER id TYPE text", "public.products.id is text"),
        ("ALTER TABLE products ALTER stock TYPE boolean USING true", "products.stock is boolean"),
    ],
)
def test_a_column_of_another_type_is_named_before_the_load(
    database_url: str, directory: RunDirectory, change: str, named: str
) -> None:
    execute(
        database_url,
        SHOP,
        "ALTER TABLE orders ALTER id DROP IDENTITY, ALTER created_at DROP DEFAULT",
        "ALTER TABLE products ALTER id DROP DEFAULT, ALTER price DROP NOT NULL",
        change,
    )
    why = refusal(directory, database_url)
    assert named in why
    assert "supported: " in why


def test_domains_and_partitions_are_read_as_what_they_are(
    database_url: str, directory: RunDirectory
) -> None:
    execute(
        database_url,
        PRODUCTS_SQL,
        "CREATE DOMAIN cents AS numeric CHECK (value >= 0)",
        "CREATE DOMAIN small_cents AS cents",
        """CREATE TABLE orders (id numeric(20), product_id numeric, quantity numeric,
                                total small_cents, created_at date, attempt_id uuid)
           PARTITION BY RANGE (id)""",
        "CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (2)",
        "CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (2) TO (9)",
    )
    before_and_after(
        directory,
        database_url,
        "INSERT INTO orders VALUES (1, 1, 2, 39.98, '2026-11-23', gen_random_uuid()),"
        " (2, 1, 2.5, 49.98, NULL, NULL), (3, 1, 'NaN', 1, NULL, NULL)",
    )
    orders = list(directory.read_table(ORDERS))
    assert [each.id for each in orders] == [1, 2, 3]
    assert [each.quantity for each in orders] == [2, None, None]
    assert len(orders[0].attempt_id) == 36


def test_a_copy_of_the_table_that_ages_is_refused(
    database_url: str, directory: RunDirectory
) -> None:
    execute(
        database_url,
        SHOP,
        "ALTER TABLE orders RENAME TO real_orders",
        "CREATE MATERIALIZED VIEW orders AS SELECT * FROM real_orders",
    )
    assert "public.orders is a materialized view" in refusal(directory, database_url)


def test_a_view_of_what_is_only_as_new_as_its_last_refresh_is_refused(
    database_url: str, directory: RunDirectory
) -> None:
    execute(
        database_url,
        SHOP,
        "ALTER TABLE orders RENAME TO real_orders",
        "CREATE MATERIALIZED VIEW copied AS SELECT * FROM real_orders",
        "CREATE VIEW midway AS SELECT * FROM copied",
        "CREATE VIEW orders AS SELECT * FROM midway",
    )
    said = refusal(directory, database_url)
    assert "public.copied is a materialized view" in said
    assert "public.orders reads it" in said


def test_the_table_that_is_read_is_named_and_not_where_a_time_is_taken_from() -> None:
    query = "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM orders WHERE id > 1"
    assert subject_of(query) == " while reading orders"


# --- the same table, before and after ---


def test_orders_of_another_schema_than_before_are_not_read(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, SHOP, "CREATE SCHEMA other", "CREATE TABLE other.orders (LIKE orders)")
    take_before(directory, database_url, settle_limit_s=10)
    other = f"{database_url}?options={quote('-csearch_path=other,public')}"
    with pytest.raises(DatabaseError, match=r"was of orders public\.orders .* of other\.orders"):
        take_after(directory, other, settle_limit_s=10)
    assert not directory.has_table(ORDERS)
    take_after(directory, database_url, settle_limit_s=10)
    assert directory.has_table(ORDERS)


def test_another_database_than_before_is_not_read(
    database_url: str, directory: RunDirectory, postgres_server: Postgres
) -> None:
    execute(database_url, SHOP)
    take_before(directory, database_url, settle_limit_s=10)
    before = directory.read_before()
    assert before is not None
    assert set(before["read_from"]) == {"database", "system", "orders", "products"}
    execute(postgres_server.url, SHOP)
    try:
        with pytest.raises(DatabaseError, match=r"before the run was of database test \(oid"):
            take_after(directory, postgres_server.url, settle_limit_s=10)
    finally:
        execute(postgres_server.url, "DROP TABLE orders, products")


def test_a_first_snapshot_from_before_it_said_so_is_still_good(
    database_url: str, directory: RunDirectory
) -> None:
    execute(database_url, PRODUCTS_SQL + ARTICLES_SQL)
    take_before(directory, database_url, settle_limit_s=10)
    before = directory.read_before()
    assert before is not None
    del before["read_from"], before["settle"]["database_time"]
    directory.write_json(BEFORE_FILE, before)
    take_after(directory, database_url, settle_limit_s=10)
    assert list(directory.read_table(ORDERS)) == []


def test_errors_of_queries_say_what_was_read_and_leave_the_url_alone(
    database_url: str, directory: RunDirectory
) -> None:
    execute(
        database_url,
        SHOP,
        "ALTER TABLE orders RENAME TO real_orders",
        """CREATE VIEW orders AS
           SELECT id, product_id, quantity / (SELECT 0) AS quantity, total FROM real_orders""",
        "INSERT INTO real_orders (product_id, quantity, total) VALUES (1, 1, 1)",
    )
    with (
        connect(database_url) as database,
        database.snapshot() as tables,
        pytest.raises(DatabaseError, match="division by zero while reading orders") as caught,
    ):
        list(tables.orders(above_id=0))
    assert "DATABASE_URL" not in str(caught.value)
