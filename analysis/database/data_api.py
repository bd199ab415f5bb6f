"""A way to Aurora without a network path to it: the RDS Data API, by boto3.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.limitations.html
An answer has at most 1 MiB and a row 64 KiB, a statement takes at most 45 s, and a transaction
that nobody uses for three minutes is rolled back. What a query finds is read in pages; all pages of
a snapshot come from one transaction, and if that is lost the snapshot is too.

DATABASE_URL is rds-data://REGION/DATABASE?cluster=ARN&secret=ARN. There is no password in it: the
secret's ARN only names what Secrets Manager holds.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from analysis.database.session import AS_STORED, GRANTS, LIMITS, Row, Value, subject_of
from analysis.evidence.aws_client import aws_clients
from analysis.evidence.errors import DatabaseAway, DatabaseError

SCHEME = "rds-data://"
_FORM = f"{SCHEME}REGION/DATABASE?cluster=ARN&secret=ARN"
# The service gives up on a statement after 45 s: no answer for longer is a lost connection.
_READ_LIMIT_S = 60
_WAKE_LIMIT_S = 90.0
_WAKE_EVERY_S = 3.0
_PAGE_BYTES = 600_000
_FIRST_PAGE, _LARGEST_PAGE = 200, 5_000
_PARAMETER = re.compile(r"%\((\w+)\)s")
# What a failover looks like from here, beside calls that find nobody.
_PASSING = frozenset(
    {
        "DatabaseUnavailableException",
        "DatabaseResumingException",
        "InternalServerErrorException",
        "ServiceUnavailableError",
        "ThrottlingException",
        "TransactionNotFoundException",
    }
)
_BROKEN_LINK = re.compile(
    r"communications link failure|connection (?:attempt|refused|reset|is closed|has been closed)"
    r"|SQLState: (?:08...|57P0[123]|53300)",
    re.IGNORECASE,
)
_NO_PRIVILEGE = "SQLState: 42501"
_TOO_LARGE = re.compile(r"response size|more than 1 ?MB|1 MiB", re.IGNORECASE)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which database of which cluster, and the secret that opens it."""

    region: str
    database: str
    cluster: str
    secret: str

    @classmethod
    def parse(cls, url: str) -> "Place":
        """Read DATABASE_URL; DatabaseError if it does not name all of it."""
        parts = urlsplit(url)
        asked = parse_qs(parts.query)
        place = cls(
            region=parts.hostname or "",
            database=parts.path.removeprefix("/"),
            cluster=asked.get("cluster", [""])[0],
            secret=asked.get("secret", [""])[0],
        )
        if parts.password or not all((place.region, place.database, place.cluster, place.secret)):
            message = f"DATABASE_URL is not of the form {_FORM}"  # what it is may hold a password
            raise DatabaseError(message)
        return place


class DataApiSession:
    """Statements to one database; each is a transaction of its own outside a snapshot."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._transaction: dict[str, str] = {}
        with self._translated():
            (self._client,) = aws_clients(
                "rds-data",
                region=place.region,
                connect_timeout=5,
                read_timeout=_READ_LIMIT_S,
                retries={"total_max_attempts": 6, "mode": "standard"},
            )
        self._page = _FIRST_PAGE

    @property
    def database(self) -> str:
        """As `Session` has it."""
        return self._place.database

    def rows(self, query: str, **values: Value) -> list[Row]:
        """As `Session` has it."""
        with self._translated(query):
            return self._execute(query, values)

    def stream(self, query: str, *, above_id: int) -> Iterator[Row]:
        """As `Session` has it."""
        while page := self._next_page(query, above_id):
            yield from page
            above_id = int(str(page[-1]["id"]))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """As `Session` has it."""
        with self._begun():
            self.rows("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            self.rows("SET LOCAL lock_timeout = '30s'")
            self._set(AS_STORED)
            state = self.rows(
                "SELECT current_setting('transaction_isolation') AS isolation,"
                " current_setting('transaction_read_only') AS is_read_only"
            )
            if state != [{"isolation": "repeatable read", "is_read_only": "on"}]:
                raise DatabaseError(
                    f"{self._name} gave no snapshot but a transaction of another kind: {state}"
                )
            yield

    @contextmanager
    def limit(self, limit_s: float) -> Iterator[None]:
        """As `Session` has it."""
        with self._begun():
            self._set(dict.fromkeys(LIMITS, str(round(limit_s * 1000))))
            yield

    def _set(self, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            self.rows(
                "SELECT set_config(%(name)s, %(value)s, true) AS is_set", name=name, value=value
            )

    @property
    def _name(self) -> str:
        return f"the database {self._place.database} of {self._place.cluster} (RDS Data API)"

    def _next_page(self, query: str, above_id: int) -> list[Row]:
        """Return as many rows as fit well into one answer, and learn how many those are."""
        while True:
            limited = f"{query} LIMIT {self._page}"
            try:
                with self._translated(query):
                    page = self._execute(limited, {"above_id": above_id})
            except _AnswerTooLarge as error:
                if self._page == 1:
                    raise DatabaseError(
                        f"a row above id {above_id} of {self._name} is too large for an answer"
                    ) from error
                self._page = max(1, self._page // 4)
                continue
            if page:
                size = max(1, sum(_size(row) for row in page) // len(page))
                self._page = min(max(1, _PAGE_BYTES // size), 2 * self._page, _LARGEST_PAGE)
            return page

    @contextmanager
    def _begun(self) -> Iterator[None]:
        """Have statements be of one transaction, which is rolled back: nothing was changed."""
        with self._translated():
            begun = self._woken(lambda: self._client.begin_transaction(**self._where))
        self._transaction = {"transactionId": begun["transactionId"]}
        try:
            yield
        finally:
            over, self._transaction = self._transaction, {}
            # Otherwise it ends by itself; what was read in it stays as good as it was.
            with suppress(BotoCoreError, ClientError):
                self._client.rollback_transaction(
                    resourceArn=self._place.cluster, secretArn=self._place.secret, **over
                )

    @property
    def _where(self) -> dict[str, str]:
        return {
            "resourceArn": self._place.cluster,
            "secretArn": self._place.secret,
            "database": self._place.database,
        }

    def _execute(self, query: str, values: dict[str, Value] | Any) -> list[Row]:
        answer = self._woken(
            lambda: self._client.execute_statement(
                **self._where,
                **self._transaction,
                sql=_PARAMETER.sub(r":\1", query),
                parameters=[_parameter(name, value) for name, value in values.items()],
                includeResultMetadata=True,
                resultSetOptions={"longReturnType": "LONG", "decimalReturnType": "STRING"},
            )
        )
        names = [each.get("label") or each["name"] for each in answer.get("columnMetadata", ())]
        return [
            dict(zip(names, (_value(cell) for cell in record), strict=True))
            for record in answer.get("records", ())
        ]

    def _woken(self, call: Callable[[], Answer]) -> Answer:
        """Call again while a database that sleeps when it is idle wakes up."""
        give_up_at = time.monotonic() + _WAKE_LIMIT_S
        while True:
            try:
                return call()
            except ClientError as error:
                if _code(error) != "DatabaseResumingException" or time.monotonic() > give_up_at:
                    raise
                time.sleep(_WAKE_EVERY_S)

    @contextmanager
    def _translated(self, query: str = "") -> Iterator[None]:
        try:
            yield
        # A wrong AWS_ENDPOINT_URL is a ValueError.
        except (BotoCoreError, ClientError, ValueError) as error:
            why = " ".join(f"{_code(error)}: {_text(error)}".split())[:300]
            if self._transaction and _TOO_LARGE.search(why):
                raise _AnswerTooLarge(why) from error
            kind = DatabaseAway if _is_passing(error, why) else DatabaseError
            what = f"{self._name} cannot be read: {why}{subject_of(query)}"
            raise kind(f"{what}; {_hint(error, why)}") from None


class _AnswerTooLarge(Exception):
    """A page that did not fit into an answer."""


_HINTS = {
    "AccessDeniedException": "may you call rds-data:* and secretsmanager:GetSecretValue on it?",
    "ForbiddenException": "may you call rds-data:* and secretsmanager:GetSecretValue on it?",
    "ExpiredTokenException": "your AWS credentials have expired: get new ones, then `finish` again",
    "ExpiredToken": "your AWS credentials have expired: get new ones, then `finish` again",
    "HttpEndpointNotEnabledException": "enable the cluster's Data API (enable_http_endpoint)",
    "TransactionNotFoundException": "the snapshot was lost on the way; run `finish` again",
    "DatabaseErrorException": "this is what the database said",
    "StatementTimeoutException": "a statement may take 45 s at most",
    "NoCredentialsError": "log in to AWS first (AWS_PROFILE names the profile)",
}


def _is_passing(error: Exception, why: str) -> bool:
    """Whether waiting may heal it: nobody answered, or one who says that the database is away."""
    is_nobody = isinstance(error, HTTPClientError)
    return is_nobody or _code(error) in _PASSING or _BROKEN_LINK.search(why) is not None


def _hint(error: Exception, why: str) -> str:
    if _NO_PRIVILEGE in why:
        return GRANTS
    return _HINTS.get(_code(error), "is DATABASE_URL right, and the database up?")


@contextmanager
def open_data_api(url: str) -> Iterator[DataApiSession]:
    """Get ready to ask; DatabaseError, from whatever is done within it too."""
    yield DataApiSession(Place.parse(url))


def _parameter(name: str, value: Value) -> dict[str, Any]:
    """Return a value as the service wants it; a list of texts as PostgreSQL spells an array."""
    match value:
        case bool():
            return {"name": name, "value": {"booleanValue": value}}
        case int():
            return {"name": name, "value": {"longValue": value}}
        case None:
            return {"name": name, "value": {"isNull": True}}
        case list():
            return {"name": name, "value": {"stringValue": _array(value)}}
        case _:
            return {"name": name, "value": {"stringValue": value}}


def _array(texts: Sequence[str]) -> str:
    quoted = (each.replace("\\", "\\\\").replace('"', '\\"') for each in texts)
    return "{" + ",".join(f'"{each}"' for each in quoted) + "}"


def _value(cell: dict[str, Any]) -> int | str | bool | None:
    if cell.get("isNull"):
        return None
    for kind in ("stringValue", "longValue", "booleanValue"):
        if kind in cell:
            found: int | str | bool = cell[kind]
            return found
    raise DatabaseError(f"the RDS Data API answered with a value of kind {', '.join(cell)}")


def _size(row: Row) -> int:
    """Bytes that a row takes in an answer, with the names of its kinds around it."""
    return sum(len(str(value).encode()) + 24 for value in row.values())


def _code(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "ClientError"))
    return type(error).__name__


def _text(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Message", ""))
    return str(error)
