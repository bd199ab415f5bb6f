"""Looking orders up while a run is on: which keys have rows, in a real PostgreSQL."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from analysis.database.resolution import answer

ROOT = Path(__file__).resolve().parents[3]
KEYED = """
    CREATE TABLE orders (id serial PRIMARY KEY, product_id int, quantity int, total numeric,
                         order_key text UNIQUE, attempt_id text)
"""
ARTICLES = (
    "CREATE TABLE orders (id serial PRIMARY KEY, product_id int, quantity int, total numeric)"
)


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_only_rows_that_were_asked_for_are_told(database_url: str) -> None:
    rows = (
        "INSERT INTO orders (order_key, attempt_id) VALUES ('k1', 'a1'), ('k2', NULL), ('k3', 'a3')"
    )
    execute(database_url, KEYED, rows)
    found = answer('["k1", "k2", "no such"]', database_url)
    assert sorted(found["rows"]) == [("k1", "a1"), ("k2", "")]  # type: ignore[call-overload]


@pytest.mark.parametrize("line", ["no json", "{}", '["k", 1]'])
def test_what_is_no_question_is_said(database_url: str, line: str) -> None:
    assert set(answer(line, database_url)) == {"error"}


def test_rows_without_keys_are_said_to_have_none(database_url: str) -> None:
    execute(database_url, ARTICLES)
    assert "no order key" in str(answer('["k1"]', database_url)["error"])


def test_a_table_that_is_locked_is_not_waited_for(database_url: str) -> None:
    execute(database_url, KEYED)
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE orders")
        assert "timeout" in str(answer('["k1"]', database_url)["error"])


def test_the_command_answers_line_by_line_and_keeps_the_password_to_itself(
    database_url: str,
) -> None:
    execute(database_url, KEYED, "INSERT INTO orders (order_key, attempt_id) VALUES ('k1', 'a1')")
    wrong = urlsplit(database_url)._replace(path="/no_such_database").geturl()
    for url, wanted in ((database_url, {"rows": [["k1", "a1"]]}), (wrong, None)):
        done = subprocess.run(
            [sys.executable, "-m", "analysis.database.resolution"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url},
            input='["k1"]\n["k1"]\n',
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        first, second = map(json.loads, done.stdout.splitlines())
        assert first == second
        assert first == wanted or set(first) == {"error"}
        assert str(urlsplit(url).password) not in done.stdout + done.stderr
