"""Settings come from the environment once; what is wrong is said in one line, without secrets."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from shop.database.pool import connection_string
from shop.errors import SettingsError
from shop.settings import load_settings

URL = "postgresql://shop:s3cr3t@db:5433/shop"


def test_a_url_alone_is_enough() -> None:
    settings = load_settings({"DATABASE_URL": URL})
    assert settings.instance_id == settings.availability_zone == settings.private_ip == "unknown"
    assert (settings.stock_factor, settings.workers) == (1, 4)


def test_the_variables_of_the_article_are_read() -> None:
    settings = load_settings(
        {
            "DB_ENDPOINT": "aurora",
            "DB_NAME": "chaos shop",
            "DB_USERNAME": "o'brien",
            "DB_PASSWORD": "p@ss' \\word",
            "INSTANCE_ID": "i-1",
            "AZ": "us-east-1a",
            "PRIVATE_IP": "10.0.10.1",
        }
    )
    parts = conninfo_to_dict(settings.database_url)
    assert parts == {
        "host": "aurora",
        "port": "5432",
        "dbname": "chaos shop",
        "user": "o'brien",
        "password": "p@ss' \\word",
    }
    identity = (settings.instance_id, settings.availability_zone, settings.private_ip)
    assert identity == ("i-1", "us-east-1a", "10.0.10.1")


def test_an_empty_variable_counts_as_absent() -> None:
    settings = load_settings({"DATABASE_URL": URL, "INSTANCE_ID": "", "SHOP_WORKERS": ""})
    assert (settings.instance_id, settings.workers) == ("unknown", 4)


@pytest.mark.parametrize("name", ["SHOP_STOCK_FACTOR", "SHOP_WORKERS", "SHOP_LOCK_TIMEOUT_MS"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "9" * 5000, "²"])
def test_a_number_that_is_none_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is .* from 1 to"):
        load_settings({"DATABASE_URL": URL, name: value})


def test_without_a_database_the_way_out_is_told() -> None:
    with pytest.raises(SettingsError, match="set DATABASE_URL, or DB_ENDPOINT, DB_NAME"):
        load_settings({"DB_USERNAME": "shop"})


@pytest.mark.parametrize(
    "url",
    ["postgresql://shop:s3cr3t%@db/shop", "postgres+x://shop:s3cr3t@db/shop", "s3cr3t"],
)
def test_a_bad_url_is_not_repeated_in_the_error(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"DATABASE_URL": url})
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_password_is_not_in_the_repr() -> None:
    assert "s3cr3t" not in repr(load_settings({"DATABASE_URL": URL}))


def test_every_wait_for_the_database_has_a_limit() -> None:
    settings = load_settings(
        {"DATABASE_URL": f"{URL}?options=-c%20search_path%3Dx", "SHOP_LOCK_TIMEOUT_MS": "7"}
    )
    parts = conninfo_to_dict(connection_string(settings))
    assert parts["connect_timeout"] == "3"
    assert parts["tcp_user_timeout"] == "5000"
    assert parts["options"] == (
        "-c search_path=x -c timezone=UTC -c default_transaction_isolation=read\\ committed "
        "-c lock_timeout=7 -c statement_timeout=3000 -c idle_in_transaction_session_timeout=5000"
    )
