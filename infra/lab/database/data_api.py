"""The RDS Data API in front of the lab's PostgreSQL, so that what reads Aurora reads it too.

https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/
Statements, parameters, transactions and their limits (1 MiB an answer, 64 KiB a row, three idle
minutes) are as of AWS; batches, schemas and formatted records are not here. moto has the service's
name only: it returns what a test has put into it.
"""

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from infra.lab.cloud.names import ACCOUNT, CLUSTER, REGION

CLUSTER_ARN = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{CLUSTER}"
SECRET_ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{CLUSTER}-AbCdEf"
ANSWER_LIMIT_BYTES = 1 << 20
ROW_LIMIT_BYTES = 64 << 10
STATEMENT_LIMIT_S = 45
IDLE_LIMIT_S = 180.0
PATHS = frozenset({"/Execute", "/BeginTransaction", "/CommitTransaction", "/RollbackTransaction"})
# A name after a colon, but neither a cast nor anything within quotes.
_PARAMETER = re.compile(r"('(?:[^']|'')*'|\"[^\"]*\"|::)|:([A-Za-z_]\w*)")
_UNKNOWN_DATABASE = re.compile(r'database ".*" does not exist')

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Refusal(Exception):
    """An error as the service answers it: its code, its text, its HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass(slots=True)
class _Transaction:
    connection: psycopg.Connection[Any]
    used_at: float
    lock: threading.Lock


class DataApi:
    """A WSGI application over one database. Close it to end what is open."""

    def __init__(self, url: str, *, idle_limit_s: float = IDLE_LIMIT_S) -> None:
        self._url = url
        self._idle_limit_s = idle_limit_s
        self._open: dict[str, _Transaction] = {}
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one call."""
        try:
            size = int(environ.get("CONTENT_LENGTH") or 0)
            asked = json.loads(environ["wsgi.input"].read(size) or b"{}")
            status, answer = 200, self._answer(environ["PATH_INFO"], asked)
            headers = []
        except Refusal as refusal:
            status, answer = refusal.status, {"message": str(refusal), "code": refusal.code}
            headers = [("x-amzn-ErrorType", refusal.code)]
        body = json.dumps(answer).encode()
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(f"{status} {'OK' if status == 200 else 'Refused'}", headers)  # noqa: PLR2004
        return [body]

    def close(self) -> None:
        """Roll back what is open."""
        self._forget_idle(float("-inf"))

    def _answer(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        self._check_names(asked)
        self._forget_idle(self._idle_limit_s)
        match path:
            case "/BeginTransaction":
                return {"transactionId": self._begin(asked)}
            case "/CommitTransaction":
                self._end(asked, "COMMIT")
                return {"transactionStatus": "Transaction Committed"}
            case "/RollbackTransaction":
                self._end(asked, "ROLLBACK")
                return {"transactionStatus": "Rollback Complete"}
            case _:
                return self._execute(asked)

    def _check_names(self, asked: Mapping[str, Any]) -> None:
        cluster, secret = asked.get("resourceArn"), asked.get("secretArn")
        if cluster != CLUSTER_ARN:
            raise Refusal(
                "DatabaseNotFoundException", f"resourceArn {cluster} is not known here", 404
            )
        if secret != SECRET_ARN:
            raise Refusal("SecretsErrorException", f"secretArn {secret} is not known here")

    def _connect(self, asked: Mapping[str, Any]) -> psycopg.Connection[Any]:
        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=5,
                application_name="RDS Data API",
                **({"dbname": asked["database"]} if asked.get("database") else {}),
            )
            connection.execute(f"SET statement_timeout = '{STATEMENT_LIMIT_S}s'".encode())
        except psycopg.Error as error:
            unknown = _UNKNOWN_DATABASE.search(str(error))
            if unknown:  # libpq gives no SQLSTATE of a connection that failed
                message = f"ERROR: {unknown[0]}; SQLState: 3D000"
                raise Refusal("DatabaseErrorException", message) from error
            raise Refusal("DatabaseUnavailableException", _first_line(error), 504) from error
        return connection

    # Transactions.

    def _begin(self, asked: Mapping[str, Any]) -> str:
        connection = self._connect(asked)
        connection.execute("BEGIN")
        name = secrets.token_hex(32)
        with self._lock:
            self._open[name] = _Transaction(connection, time.monotonic(), threading.Lock())
        return name

    def _end(self, asked: Mapping[str, Any], how: str) -> None:
        name = str(asked.get("transactionId"))
        one = self._transaction(name)
        with self._lock:
            self._open.pop(name, None)
        try:
            one.connection.execute(how.encode())
        except psycopg.Error as error:
            raise _refusal_of(error) from error
        finally:
            one.connection.close()

    def _transaction(self, name: str) -> _Transaction:
        with self._lock:
            found = self._open.get(name)
        if found is None:
            raise Refusal(
                "TransactionNotFoundException", f"Transaction {name} is not found", status=404
            )
        found.used_at = time.monotonic()
        return found

    def _forget_idle(self, limit_s: float) -> None:
        """Roll back those that have been idle for longer."""
        since = time.monotonic() - limit_s
        with self._lock:
            old = [name for name, each in self._open.items() if each.used_at < since]
            left = [self._open.pop(name) for name in old]
        for each in left:
            each.connection.close()

    # Statements.

    def _execute(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        query = _bound(str(asked.get("sql", "")), asked.get("parameters") or [])
        try:
            if asked.get("transactionId"):
                one = self._transaction(str(asked["transactionId"]))
                with one.lock:
                    return _answer_of(one.connection, query, asked)
            with self._connect(asked) as connection:
                return _answer_of(connection, query, asked)
        except psycopg.Error as error:
            raise _refusal_of(error) from error


def _bound(statement: str, parameters: list[Mapping[str, Any]]) -> sql.Composed:
    """Put the parameters' values where their names are."""
    given = {each["name"]: each.get("value") or {} for each in parameters}
    values = {
        name: None if value.get("isNull") else next(iter(value.values()), None)
        for name, value in given.items()
    }
    parts: list[sql.Composable] = []
    end = 0
    for found in _PARAMETER.finditer(statement):
        if found[2] is None:
            continue
        if found[2] not in values:
            raise Refusal("BadRequestException", f"Missing value for parameter {found[2]}")
        parts += [sql.SQL(statement[end : found.start()]), sql.Literal(values[found[2]])]
        end = found.end()
    parts.append(sql.SQL(statement[end:]))
    return sql.Composed(parts)


def _answer_of(
    connection: psycopg.Connection[Any], query: sql.Composed, asked: Mapping[str, Any]
) -> dict[str, Any]:
    cursor = connection.execute(query)
    if cursor.description is None:
        return {"numberOfRecordsUpdated": max(0, cursor.rowcount), "generatedFields": []}
    records = []
    size = 0
    for row in cursor:
        record = [_field(value) for value in row]
        of_row = len(json.dumps(record))
        size += of_row
        if of_row > ROW_LIMIT_BYTES or size > ANSWER_LIMIT_BYTES:
            raise Refusal(
                "BadRequestException",
                "Database returned more than the allowed response size limit",
            )
        records.append(record)
    answer: dict[str, Any] = {"numberOfRecordsUpdated": 0, "records": records}
    if asked.get("includeResultMetadata"):
        answer["columnMetadata"] = [
            {"name": each.name, "label": each.name, "typeName": each.type_display}
            for each in cursor.description
        ]
    return answer


def _field(value: object) -> dict[str, Any]:
    match value:
        case None:
            return {"isNull": True}
        case bool():
            return {"booleanValue": value}
        case int():
            return {"longValue": value}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": str(value)}


def _refusal_of(error: psycopg.Error) -> Refusal:
    if isinstance(error, psycopg.errors.QueryCanceled):
        return Refusal("StatementTimeoutException", "Request timed out")
    return Refusal("DatabaseErrorException", f"{_first_line(error)}; SQLState: {error.sqlstate}")


def _first_line(error: psycopg.Error) -> str:
    return f"ERROR: {error}".partition("\n")[0]
